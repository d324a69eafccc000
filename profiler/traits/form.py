"""The form of an instruction and the shape of an answer.

Owns the expressions that find questions, clozes, lists of options and worked examples in prompts, and calculations,
JSON, single letters and refusals in responses: shares of sampled documents in which a text matches.
Refuses to parse: what needs a tagger is in `profiler.traits.linguistic`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from traitcast.profiler.text.documents import Documents
from traitcast.profiler.text.estimates import Floats

Flags = npt.NDArray[np.bool_]

_VERBS = (
    "add|analy[sz]e|answer|arrange|assess|build|calculate|categori[sz]e|change|check|choose|classify|combine|compare"
    "|complete|compose|compute|construct|continue|convert|count|create|decide|define|derive|describe|design|detect"
    "|determine|develop|discuss|draft|edit|estimate|evaluate|examine|explain|extract|fill|find|fix|form|generate|give"
    "|guess|identify|implement|infer|insert|label|list|make|mark|match|name|outline|paraphrase|pick|predict|prepare"
    "|produce|propose|prove|provide|rank|rate|read|rearrange|recommend|rephrase|replace|respond|return|rewrite|select"
    "|show|simplify|solve|sort|state|suggest|summari[sz]e|tell|transform|translate|turn|use|verify|write"
)
_UNITS = "words?|sentences?|paragraphs?|lines?|characters?|letters?|tokens?|items?|bullets?|points?"
# RE2 syntax; \A and \z are the ends of the text, which ^ and $ are not under (?m).
QUESTION_END = r"\?[\"'”’)\]*]*\s*\z"
WH_QUESTION = r"(?i)\b(what|who|whom|whose|which|when|where|why|how)\b[^.?!\n]*\?"
INSTRUCTION = rf"(?i)\A\s*(please,?\s+|kindly\s+|now,?\s+)?({_VERBS})\b"
CLOZE = r"(?i)_{2,}|\[\s*(mask|blank)\s*\]|<\s*(mask|blank)\s*>|(^|\s)_(\s|[.,;:?!]|$)|\(\s{2,}\)"
# Without the colon: "A: ... B: ..." is a dialogue.
OPTIONS = r"(?s)(\A|\s)\(?[Aa1][.)]\s?\S.*\s\(?[Bb2][.)]\s?\S"
FEW_SHOT = (
    r"(?is)\b(q|question|input|text|sentence|premise|problem|example)( ?\d+)?\s*:.*?"
    r"\b(a|answer|output|label|target|solution)( ?\d+)?\s*:.*?"
    r"\b(q|question|input|text|sentence|premise|problem|example)( ?\d+)?\s*:"
)
STEP_BY_STEP = (
    r"(?i)\bstep[ -]by[ -]step\b|\bshow (all )?(your|the) (work|working|reasoning|steps)\b"
    r"|\bexplain (your|the) (reasoning|answer|choice)\b|\bchain[ -]of[ -]thought\b"
)
FORMAT_REQUEST = (
    rf"(?i)\b(in|at most|at least|exactly|within|under|up to|no more than|fewer than|less than|maximum of) "
    rf"(\d+|one|two|three|four|five|ten) ({_UNITS})\b"
    r"|\b(as|in) (json|csv|xml|yaml|html|markdown|latex|bullet|a table)\b"
)
EQUATION = r"\d\s*[-+*/×÷^]\s*\$?\(?\d[\d.,]*\)?\s*=|=\s*[-$€£]?\d|\d\s*[×÷*]\s*\d|\\frac\{"
ANSWER_MARKER = (
    r"(?i)\b(the|so the|my|our|final|correct|right) (final |correct |right )?(answer|result|solution|label|option) "
    r"(is|would be|must be|was|equals|=)|\banswer\s*:|####|\\boxed\{|\btherefore\b|\bthus\b|\bhence\b"
)
FINAL_ANSWER = r"(?i)(\banswer( is)?\b\s*:?|####|\\boxed\{|=)[^\n]{0,60}\s*\z"
# A heading has letters: "#### 18" is how solved maths problems mark an answer.
MARKDOWN = r"(?m)^#{1,6} \pL|\*\*[^*\n]+\*\*|^\s*\|.*\|\s*$|^```"
ONE_LETTER = r"\A[^\pL\pN]*\pL[^\pL\pN]*\z"
YES_NO = r"(?i)\A\W*(yes|no|true|false)\b"
UPPER_START = r"\A[^\pL\pN]*\p{Lu}"
FULL_STOP_END = r"[.!?。！？…][\"'”’)\]*]*\s*\z"
REFUSAL = (
    r"(?i)\A\W*(i['’]?m sorry|i am sorry|sorry,|i apologi[sz]e|unfortunately,? i|i (can ?not|can['’]?t|am unable"
    r"|am not able)|as an ai)\b"
)
# A text of this many words with a calculation or an answer marker shows how it got there.
RATIONALE_WORDS = 10

PROMPT_FORMS: Mapping[str, str] = {
    "question_end_share": QUESTION_END,
    "wh_question_share": WH_QUESTION,
    "instruction_opening_share": INSTRUCTION,
    "cloze_share": CLOZE,
    "options_listed_share": OPTIONS,
    "few_shot_share": FEW_SHOT,
    "step_by_step_share": STEP_BY_STEP,
    "format_request_share": FORMAT_REQUEST,
    "equation_share": EQUATION,
}
RESPONSE_SHAPES: Mapping[str, str] = {
    "equation_share": EQUATION,
    "answer_marker_share": ANSWER_MARKER,
    "final_answer_share": FINAL_ANSWER,
    "markdown_share": MARKDOWN,
    "one_letter_share": ONE_LETTER,
    "yes_no_share": YES_NO,
    "upper_start_share": UPPER_START,
    "full_stop_end_share": FULL_STOP_END,
    "refusal_share": REFUSAL,
}


def prompt_forms(prompts: Documents) -> dict[str, Floats]:
    """Whether each prompt has a text of each form: float64 (documents,) of 1 and 0 by trait, NaN for no prompt."""
    return _by_document(_matches(prompts, PROMPT_FORMS), prompts)


def response_shapes(responses: Documents) -> dict[str, Floats]:
    """Whether each response has each shape: float64 (documents,) of 1 and 0 by trait, NaN for no response."""
    found = _matches(responses, RESPONSE_SHAPES)
    used = responses.used()
    long = np.zeros(len(responses.texts), dtype=bool)
    long[used] = [len(responses.texts[i].split()) >= RATIONALE_WORDS for i in used.tolist()]
    found["json_share"] = np.zeros(len(responses.texts), dtype=bool)
    found["json_share"][used] = [is_json(responses.texts[i]) for i in used.tolist()]
    found["rationale_share"] = long & (found["equation_share"] | found["answer_marker_share"])
    return _by_document(found, responses)


def is_json(text: str) -> bool:
    """Whether a text is a JSON object or list as a whole."""
    bare = text.strip()
    if not (bare.startswith("{") and bare.endswith("}")) and not (bare.startswith("[") and bare.endswith("]")):
        return False
    try:
        json.loads(bare)
    except (ValueError, RecursionError):
        return False
    return True


def _matches(documents: Documents, expressions: Mapping[str, str]) -> dict[str, Flags]:
    """Per expression, the segments in which it is found: bool (segments,), False for segments of other parts."""
    used = documents.used()
    texts = pa.array([documents.texts[i] for i in used.tolist()], pa.large_string())
    found = {}
    for name, expression in expressions.items():
        found[name] = np.zeros(len(documents.texts), dtype=bool)
        found[name][used] = pc.match_substring_regex(texts, expression).to_numpy(zero_copy_only=False)
    return found


def _by_document(found: Mapping[str, Flags], documents: Documents) -> dict[str, Floats]:
    exists = np.diff(documents.offsets) > 0
    return {name: np.where(exists, documents.sum(flags) > 0, np.nan) for name, flags in found.items()}

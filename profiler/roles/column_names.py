"""The column names of common dataset layouts, as data. `roles.inference` decides; this only lists.

Names are plain: lower case, everything but letters and digits as one underscore.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

IN_ENGLISH = {
    theirs: ours
    for ours, names in {
        "question": "frage pregunta",
        "answer": "antwort respuesta reponse",  # codespell:ignore
        "instruction": "anweisung aufgabe instruccion",  # codespell:ignore
        "input": "eingabe entrada entree",
        "output": "ausgabe salida sortie",
        "text": "texto texte",
        "sentence": "satz oracion",
        "context": "kontext contexto contexte",
        "title": "titel titulo titre ueberschrift uberschrift betreff asunto",  # codespell:ignore
        "summary": "zusammenfassung resumen",
        "article": "artikel articulo",
        "document": "dokument documento",  # codespell:ignore
        "review": "rezension resena",
        "comment": "kommentar comentario commentaire",
        "description": "beschreibung descripcion",
        "message": "nachricht mensaje",
        "label": "etikett etiqueta etiquette",
        "category": "kategorie categoria categorie",  # codespell:ignore
        "class": "klasse clase",
        "sentiment": "stimmung sentimiento",
        "rating": "bewertung",
        "premise": "praemisse pramisse",
        "hypothesis": "hypothese hipotesis",  # codespell:ignore
        "options": "optionen antwortmoglichkeiten opciones",
        "date": "datum fecha",
        "language": "sprache idioma langue",
        "source": "quelle fuente",
        "author": "autor auteur",  # codespell:ignore
        "translation": "uebersetzung ubersetzung traduccion traduction",
    }.items()
    for theirs in names.split()
}


@lru_cache(maxsize=4096)
def plain_name(name: str) -> str:
    """The plain form of a column name, in English where it is a usual one of another language."""
    letters = unicodedata.normalize("NFKD", name.lower().replace("ß", "ss")).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^a-z0-9]+", "_", letters if letters.strip() else "").strip("_")
    return IN_ENGLISH.get(plain, plain)


def is_id(name: str) -> bool:
    """Whether a column name says that it holds identifiers or bookkeeping, not content."""
    return _ID_LIKE.fullmatch(plain_name(name)) is not None


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ID_LIKE = re.compile(r"(.*_)?(id|idx|index|uid|guid|uuid|key)|column_[0-9]+|url|split|source_url")

# Columns that belong together in a classification of pairs; the order is that of the prompt.
PAIRS = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("sentence_a", "sentence_b"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("claim", "evidence"),
    ("question", "sentence"),
    ("question", "passage"),
    ("question", "context"),
    ("query", "document"),
    ("query", "passage"),
)
SINGLE = frozenset(
    _words(
        "text sentence content review review_text review_body comment comment_text tweet headline title body message "
        "sms email document article passage paragraph context story abstract utterance statement argument claim "
        "evidence question query post description news snippet phrase transcript input prompt dialogue dialog "
        "previous_utterance page word aspect"
    )
)
# Columns that may hold a list of texts in order, which read as one: utterances, and passages.
UTTERANCES = _words(
    "dialogue dialog turns utterances history conversation conversations dialogue_history conversation_history"
)
TEXT_LISTS = frozenset((*UTTERANCES, *_words("contexts context passages documents paragraphs article document story")))
SINGLE |= TEXT_LISTS
# Beside these a subject is that of a mail or a ticket; elsewhere it is a topic.
MAILS = _words("body message description")
LABELS = frozenset(
    _words(
        "labels class category sentiment emotion intent topic stance polarity gold_label label_text label_name "
        "is_duplicate duplicate entailment entailment_label entailment_judgment relation verdict act spam is_spam "
        "toxic rating stars acceptability coarse_label fine_label target"
    )
)
# Columns of numbers with fractions that grade a text or a pair of them.
# Numbers of classes, where no column has their names; anywhere else such names are those of identifiers.
LABEL_NUMBERS = _words("class_index class_idx class_id label_index label_idx label_id category_id")
SCORES = frozenset(
    _words(
        "label labels score scores gold_score similarity similarity_score relatedness relatedness_score rating stars "
        "grade quality sentiment polarity toxicity intensity target value valence complexity z_mean mean_score "
        "average_score"
    )
)
# Columns that hold several labels of one text, and spans of it.
LABEL_LISTS = frozenset(_words("label categories genres topics emotions intents tags classes")) | LABELS
SPANS = frozenset(_words("entities spans span annotations mentions ner labels label slots ents"))
TOKENS = ("tokens", "words", "token")
YES_NO = frozenset({"yes", "no", "true", "false", "maybe"})

SYSTEM = ("system", "system_prompt")
CONTEXTS = _words("title context passage paragraph article document story support background fact fact1 ctx")
CONTEXTS += tuple(sorted(TEXT_LISTS - set(CONTEXTS)))
# What goes with a prompt in some rows only.
LATE = frozenset((*SYSTEM, "input", "history", *CONTEXTS))
# Options that are one text.
OPTION_TEXTS = _words("options choices answer_choices")
# What an answer is compared with.
REFERENCES = _words("ground_truth reference_answer expected_output best_answer ideal")
# (head column, columns that may go with it in the prompt, response columns), most telling first.
GENERATION: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "instruction",
        (*SYSTEM, "input", "context"),
        ("output", "response", "completion", "answer", "target", *REFERENCES),
    ),
    (
        "prompt",
        (*SYSTEM, "input", "context"),
        ("completion", "response", "output", "answer", "target", "solution", *REFERENCES),
    ),
    (
        "question",
        (*SYSTEM, *CONTEXTS, *OPTION_TEXTS),
        ("answer", "answers", "response", "solution", "correct_answer", "output", *REFERENCES),
    ),
    ("goal", (), ("target", "response", "output")),
    ("problem", OPTION_TEXTS, ("solution", "answer")),
    ("query", (*SYSTEM, *CONTEXTS, *OPTION_TEXTS), ("response", "answer", "answers", "output", *REFERENCES)),
    ("article", ("title",), ("highlights", "summary", "abstract")),
    ("document", ("title",), ("summary", "target")),
    *((name, ("title",), ("summary", "tldr")) for name in ("report", "content", "body", "post")),
    ("abstract", (), ("tldr", "summary")),
    *((name, (), ("summary", "response", "reply")) for name in UTTERANCES),
    ("text", ("title",), ("summary", "target", "output", "translation")),
    ("source", (), ("target", "output", "reference", "translation")),
    ("source_text", (), ("target_text",)),
    ("src", (), ("tgt",)),
    ("input", (), ("output", "target", "answer", "response", *REFERENCES)),
    ("inputs", (), ("targets", "outputs", *REFERENCES)),
    ("input_text", (), ("output_text", "target_text")),
    ("user", SYSTEM, ("assistant", "bot")),
    ("human", SYSTEM, ("assistant", "bot", "gpt")),
    ("sentence", (), ("target", "correction", "paraphrase", "translation")),
    ("context", (), ("response",)),
)
# Columns of the better and the worse of two responses, of their grades, and of responses that were judged one by one.
CHOSEN = (
    ("chosen", "rejected"),
    ("chosen", "reject"),
    ("chosen_response", "rejected_response"),
    ("response", "rejected_response"),
    ("answer", "rejected_answer"),
    ("output", "rejected_output"),
    ("response_chosen", "response_rejected"),
    ("preferred", "dispreferred"),
    ("preferred", "rejected"),
    ("accepted", "rejected"),
    ("winner", "loser"),
    ("better", "worse"),
    ("pos_answer", "neg_answer"),
    ("positive", "negative"),
    ("pos", "neg"),
    ("response_j", "response_k"),
    ("preferred_output", "non_preferred_output"),
    ("y_w", "y_l"),
)
CHOSEN_SCORES = (
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen_rating", "rejected_rating"),
    ("chosen_reward", "rejected_reward"),
    ("reward_chosen", "reward_rejected"),
    ("margin",),
)
JUDGED = ("completion", "response", "output")
# Whether a response is good, under names that say so; under these an answer is a response too.
JUDGEMENTS = ("is_good", "good", "desirable", "is_desirable", "is_chosen", "preferred", "thumbs_up", "kto_tag")
# The worse response beside a conversation that ends with the better one.
WORSE = ("rejected_response", "rejected")
# Two responses of which another column says the better one: (what they are, which of the two, what is behind it).
COMPARED = re.compile(r"(.+?)_?([ab]|[012])(_[a-z_]+)?")
COMPARED_STEMS = _words(
    "response responses answer answers completion completions output outputs summary summaries conversation reply "
    "replies assistant human_ref ref generation candidate comment message translation model system text"
)
# Classes of a whole conversation, rather than facts about it.
CHAT_LABELS = _words("label labels gold_label intent sentiment emotion toxic is_spam spam is_toxic")
# Texts to choose from are options of a question.
OPTION_STEMS = _words("option choice ending sol opt op alternative")
VERDICTS = _words(
    "winner better_response_id better_response better_id better winner_id preferred_response preferred_id preferred "
    "overall_preference preference_strength human_preference preference chosen_id chosen choice best verdict vote "
    "safer_response_id"
)
WEAK_VERDICTS = _words("label labels")
# Below 0 they prefer the first one (HelpSteer).
SIGNED_VERDICTS = _words("overall_preference preference_strength")
COMPARED_SCORES = _words(
    "score scores rating reward grade votes upvotes quality winner winner_model winner_response response_score "
    "answer_score score_response score_model"
)
# Lists of responses, the text of one that is an object, and how good it is.
RANKED = ("responses", "completions", "answers", "outputs", "candidates", "replies")
RESPONSE_KEYS = ("response", "answer", "text", "content", "completion", "output")
GRADES = ("scores", "ranks", "ratings", "ranking", "rewards", "rank", "score", "overall_score", "rating", "reward")
OPTIONS = _words("options choices endings candidates answer_choices mc_options choice alternatives possible_answers")
OPTION_COLUMN = re.compile(
    r"(option|choice|answer|ans|ending|sol|opt|op|alternative|candidate)?_?([a-z]|[0-9]{1,2})"  # codespell:ignore
)
MC_ANSWERS = _words(
    "answer_idx answer_index answerkey answer_key correct_option correct_answer correct answer cop label gold target "
    "key accept ra"
)
MC_PROMPT = _words("question question_stem goal ctx stem problem premise sentence query prompt input text qtext")

# Every name that a prompt may have.
PROMPTS = frozenset((*SINGLE, *MC_PROMPT, *CONTEXTS, *SYSTEM)) | {name for pair in PAIRS for name in pair}
PROMPTS |= {head for head, _, _ in GENERATION}
# Every name that says what a column holds.
KNOWN = (
    PROMPTS
    | LABELS
    | SCORES
    | LABEL_LISTS
    | SPANS
    | frozenset(
        (*OPTIONS, *MC_ANSWERS, *TOKENS, "label", *(name for pair in (*CHOSEN, *CHOSEN_SCORES) for name in pair))
    )
)
KNOWN |= {answer for _, _, answers in GENERATION for answer in answers}

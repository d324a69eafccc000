"""Whether texts are clearly in another language than English: by their script, or by their function words.

Owns the words, the letters and the thresholds for the languages that people publish datasets in. It judges a dataset
as a whole and does not judge what is short, mixed or no prose: that stays English. Which of two close relatives a text
is in (Danish or Norwegian) may be missed; that it is not English is not.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

    from traitcast.profiler.passes.table import Held

# Function words are 30 to 50 % of the words of prose, and 20 to 40 % those that no other language here shares. English,
# code, formulas and names hold far less of any list: at most 3.5 % in the prompts of 84 public English datasets.
MIN_SHARE = 0.10
# A translation task with prompts in both languages stays English.
MIN_RATIO = 3.0
# One name or command that comes again and again is no language.
MIN_DIFFERENT = 5
MIN_WORDS = 50

_ROWS = 500
_CHARACTERS = 1000
_WORD = re.compile(r"[^\W\d_]{2,}")


# Of the letters, in a script that English is not written in.
_MIN_SCRIPT_SHARE = 0.5
_MIN_LETTERS = 50
_SCRIPTS = {
    "zh": "\u3400-\u4dbf\u4e00-\u9fff",
    "ja": "\u3040-\u30ff",
    "ko": "\u1100-\u11ff\uac00-\ud7af",
    "ru": "\u0400-\u04ff",
    "el": "\u0370-\u03ff\u1f00-\u1fff",
    "he": "\u0590-\u05ff",
    "ar": "\u0600-\u06ff",
    "hi": "\u0900-\u097f",
    "bn": "\u0980-\u09ff",
    "ta": "\u0b80-\u0bff",
    "te": "\u0c00-\u0c7f",
    "th": "\u0e00-\u0e7f",
    "ka": "\u10a0-\u10ff",
    "hy": "\u0530-\u058f",
}
# Letters of a language that its neighbours in the same script lack: code, script, letters, their least share of the
# letters of that script. Japanese is Chinese characters with kana between them. The first that holds is taken.
_TELLING = (
    ("ja", "zh", _SCRIPTS["ja"], 0.1),
    ("be", "ru", "\u045e\u040e", 0.003),
    ("uk", "ru", "\u0456\u0457\u0454\u0491\u0406\u0407\u0404\u0490", 0.01),
    ("mk", "ru", "\u0453\u045c\u0455\u0403\u040c\u0405", 0.002),
    ("sr", "ru", "\u0458\u0459\u045a\u0452\u045b\u0408\u0409\u040a\u0402\u040b", 0.01),
    ("ur", "ar", "\u0679\u0688\u0691\u06d2\u06ba", 0.01),
    ("fa", "ar", "\u067e\u0686\u0698\u06af\u06a9\u06cc", 0.01),
)
_LETTER = re.compile(r"[^\W\d_]")


class Guess(NamedTuple):
    """code: ISO 639-1. reason: the evidence in words."""

    code: str
    reason: str


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ENGLISH = _words(
    "the of and to in is that it was for on as with he be at by this had not are but from or have an they which one "
    "you were her all she there would their we him been has when who will more no if out so said what up its about "
    "into than them can only other new some could time these two may then do first any my now such like our over man "
    "me even most made after also did many before must through back years where much your way well down should "
    "because each just those people how too little good very make world still own see men work long get here between "
    "both life being under never day same another know while last might us great old year off come since against go "
    "came right used take three"
)
# Words of other languages that English texts, code and formulas hold too, in another sense or in names.
_NEUTRAL = _words(
    "am comment de del den der des die du el em es fast hat kind la las le los non note om pays per plus pour sans se "
    "si sin son tan ton van von war"
)

# The commonest function words of each language. One letter words are left out: formulas and code are full of them.
_LISTS = {
    "ca": "els les una amb per que és del dels són més com però aquest aquesta seva seu molt també ha han hi ser tot "
    "quan sobre entre fins nosaltres sense perquè on tenen cada altres ens això pot li si",
    "cs": "je se na že do by jsem ale jako za tak které jeho který také pro být jsou ve od po jak si než bylo při nebo "
    "jen už aby této této není když bude své tím může ze až podle která jejich",
    "da": "og det at er til på med for der ikke en af som har jeg de vi han hun men var blev fra eller kan skal havde "
    "sig om efter også når denne dette mere meget hvor hvad man nu alle mange være vil deres",
    "de": "der die das und ist nicht ich zu mit ein eine einen einem einer von auf für sich auch als aus bei nach wie "
    "oder sie wir ihr es dass wird werden wurde noch nur wenn kann können haben sind hatte aber durch sein sehr mehr "
    "über um vom zum zur im dem diese dieser dieses mich mir uns kein keine schon immer weil gegen unter vor mein",
    "es": "que los las una por con para del se es al como pero más su sus le ya este esta son entre cuando muy sobre "
    "también me hasta hay donde quien desde todo nos todos uno les ni contra otros ese eso ante ellos esto mí antes "
    "algunos qué unos yo otro otras otra él tanto esa estos mucho está fue ser tiene porque lo si",
    "fi": "ja on ei se että en oli hän mutta ovat kun niin myös tai kuin olen ole joka sen mitä minä nyt jos sitä "
    "ollut voi vain sekä hänen jo siitä kanssa mukaan sitten ne me minun mikä tämä tämän olisi jotka koska kaikki",
    "fr": "et les est que qui dans pour pas une sur par ce il elle au aux avec se sont plus ne je vous nous "
    "mais cette ses son sa ou comme tout leur leurs être ont fait été lui même ces très aussi bien sans peut donc dont "
    "était mon ma mes votre notre si quand où deux après entre faire encore ils elles on",
    "hr": "je da se na su za od koji ne sa bi kao ili ali što samo ima može nije bio biti iz ako prema kako više sve "
    "bila koje koja još jer te po do zbog bez između njegov također bilo treba",
    "hu": "hogy az nem és egy is van ez meg csak de volt már még el ha mint ki kell vagy azt ezt aki lehet minden "
    "nagyon amely ezek azok mert akkor lesz voltak úgy sem után szerint között maga majd így igen nincs",
    "id": "yang dan di untuk dengan tidak ini dari dalam akan pada juga saya ke karena itu adalah bisa ada mereka kami "
    "telah oleh atau sudah kita lebih dapat seperti saat banyak orang hanya harus namun bahwa sangat tersebut menjadi "
    "para jika secara satu belum anda",
    "it": "che di il per una sono con del della dei delle si gli lo non ma come anche più nel nella alla al dal dalla "
    "questo questa ha le mi ci essere se da sua suo loro hanno cui molto tutti tutto quando dove era fatto ancora dopo "
    "prima sempre così perché chi senza ed io lei lui noi sia stato quello",
    "nl": "het een van en is dat niet zijn op te met voor er aan ook als maar om bij uit naar dan door nog wel ze hij "
    "zij ik je we werd wordt worden heeft hebben had kan kunnen deze dit over zich geen meer tot mijn hun wat wie waar "
    "zo toen omdat heel moet alle veel",
    "no": "og det er til på med for som ikke en av at har jeg de vi han hun men var ble fra eller kan skal hadde seg "
    "om etter også når denne dette mer mye hvor hva man nå alle mange være vil deres opp bare noen",
    "pl": "się nie na że jest to do jak ale za od czy po przez jego był była było są ma dla tym tego które który która "
    "tylko już co jej przy ich być oraz może tak lub aby bardzo więc kiedy gdy mnie nas też jako bez między ze tej",
    "pt": "que não uma para com por os as se na no da do dos das em um mais como mas foi ele ela ao aos também pelo "
    "pela seu sua seus suas já está são ser tem até isso quando muito nos eu entre era depois sem mesmo ou ter quem "
    "são esta este você há onde meu minha lhe nós",
    "ro": "și să nu este la cu pentru din care pe mai sunt că un ce au se prin fi dar sau după fost lui acest această "
    "când foarte ca între fără doar ai am asta cum dacă despre unei unui acum sale tot toate până ei lor",
    "sv": "och att det som på är av för med den till inte har jag om ett han var men vi hon de så från kan eller när "
    "ska under också efter man där sig mot bara mycket detta vid skulle hade vara alla hur mer än blev min sin nu utan "
    "varit vad",
    "tr": "ve bir bu için ile çok da de daha olarak olan gibi ne kadar ama sonra var değil en ben mi her onun olduğu "
    "ya şey ki ise hem ancak göre biz siz nasıl bana beni oldu olur tüm tarafından çünkü iki yok bile şimdi",
    "vi": "và của là có được cho không trong một với các để những người này đã khi đó ra cũng về tôi đến từ như thì "
    "nhưng vào làm rất hay phải nhiều sẽ bạn bị ở lại còn nếu sau trên hơn theo tại",
}
# A word that both have tells neither from the other.
_OTHERS = {code: _words(text) - _ENGLISH - _NEUTRAL for code, text in _LISTS.items()}
_ENGLISH_BESIDE = {code: _ENGLISH - _words(text) for code, text in _LISTS.items()}


def guess_language(table: pa.Table | Held) -> Guess | None:
    """The language other than English that the prompts of a dataset are clearly in; without prompts, its responses.

    table: columns `fields` (list<string>) and `response` (string), as in `profiler.reading.examples.Examples`. Up to 500 rows,
    evenly spread, and 1,000 characters of each text are looked at. Given when half of the letters are of another
    script, or when the share of words that are function words of one language is at least MIN_SHARE and MIN_RATIO times
    that of English, with MIN_DIFFERENT of them seen.
    """
    import numpy as np

    from traitcast.profiler.passes.table import held

    rows = held(table).at(np.arange(0, table.num_rows, max(1, -(-table.num_rows // _ROWS))))
    texts = [text for fields in rows["fields"].to_pylist() for text in fields or ()]
    if not any(text.strip() for text in texts):
        texts = [text for text in rows["response"].to_pylist() if text]
    return guess_of(texts)


def guess_of(texts: list[str]) -> Guess | None:
    """`guess_language` of texts."""
    heads = [text[:_CHARACTERS].lower() for text in texts]
    return _by_script(Counter("".join(heads))) or _by_words(Counter(w for text in heads for w in _WORD.findall(text)))


def _by_script(seen: Counter[str]) -> Guess | None:
    """The language of most letters, by the counts of all characters."""
    letters = {char: count for char, count in seen.items() if _LETTER.match(char)}
    total = sum(letters.values())
    if total < _MIN_LETTERS:
        return None

    def among(ranges: str) -> int:
        inside = re.compile(f"[{ranges}]")
        return sum(count for char, count in letters.items() if inside.match(char))

    counts = {code: among(ranges) for code, ranges in _SCRIPTS.items()}
    counts["zh"] += counts.pop("ja")
    code = max(counts, key=lambda code: counts[code])
    if counts[code] < _MIN_SCRIPT_SHARE * total:
        return None
    own = (name for name, script, ranges, least in _TELLING if script == code and among(ranges) >= least * counts[code])
    return Guess(next(own, code), f"its script ({counts[code] / total:.0%} of the letters)")


def _by_words(seen: Counter[str]) -> Guess | None:
    """The language of the function words, by the counts of all words."""
    total = seen.total()
    if total < MIN_WORDS:
        return None
    hits = {code: sum(seen[word] for word in words) for code, words in _OTHERS.items()}
    code = max(hits, key=lambda code: hits[code])
    share, english = hits[code] / total, sum(seen[word] for word in _ENGLISH_BESIDE[code]) / total
    different = sum(word in seen for word in _OTHERS[code])
    if share < MIN_SHARE or share < MIN_RATIO * english or different < MIN_DIFFERENT:
        return None
    return Guess(code, f"its function words ({share:.0%} of the words, English {english:.0%})")

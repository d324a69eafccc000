"""Which language a dataset is in: clear cases of many languages, and everything that has to stay English."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from traitcast.profiler.reading.language_guess import MIN_RATIO, MIN_SHARE, guess_language, guess_of
from traitcast.profiler.reading.reader import read
from traitcast.profiler.roles.spec import load_spec

ENGLISH = (
    "The chain of my bicycle fell off on the way to work, and the shop that sold it to me had already closed. I called "
    "them the next morning, but nobody could say when there would be a free place in the workshop. In the end I "
    "repaired it myself with the tools that my neighbour had lent me, and it has been running well ever since."
)
TEXTS = {
    "de": "Die Kette ist auf dem Weg zur Arbeit abgesprungen, und der Laden, der mir das Rad verkauft hat, war schon "
    "geschlossen. Am nächsten Morgen habe ich dort angerufen, aber niemand konnte mir sagen, wann in der Werkstatt ein "
    "Platz frei wird. Am Ende habe ich sie mit dem Werkzeug meines Nachbarn selbst repariert, und seitdem läuft das "
    "Rad wieder gut, auch wenn es regnet.",
    "fr": "La chaîne de mon vélo est tombée en allant au travail, et le magasin qui me l'avait vendu était déjà fermé. "
    "J'ai appelé le lendemain matin, mais personne ne pouvait me dire quand il y aurait une place dans l'atelier. "
    "Finalement je l'ai réparée moi-même avec les outils que mon voisin m'avait prêtés, et depuis tout fonctionne très "
    "bien, même quand il pleut.",
    "es": "La cadena de mi bicicleta se salió de camino al trabajo, y la tienda que me la había vendido ya estaba "
    "cerrada. Llamé a la mañana siguiente, pero nadie podía decirme cuándo habría un sitio libre en el taller. Al "
    "final la arreglé yo mismo con las herramientas que me prestó mi vecino, y desde entonces funciona muy bien, "
    "incluso cuando llueve.",
    "it": "La catena della mia bicicletta è caduta mentre andavo al lavoro, e il negozio che me l'aveva venduta era "
    "già chiuso. Ho chiamato la mattina dopo, ma nessuno sapeva dirmi quando ci sarebbe stato un posto libero in "
    "officina. Alla fine l'ho riparata da solo con gli attrezzi che mi aveva prestato il vicino, e da allora funziona "
    "molto bene, anche quando piove.",
    "pt": "A corrente da minha bicicleta caiu no caminho para o trabalho, e a loja que me vendeu já estava fechada. "
    "Liguei na manhã seguinte, mas ninguém sabia dizer quando haveria uma vaga na oficina. No fim eu mesmo consertei "
    "com as ferramentas que o meu vizinho me emprestou, e desde então ela funciona muito bem, até quando chove.",
    "nl": "De ketting van mijn fiets viel eraf op weg naar het werk, en de winkel die hem aan mij had verkocht was al "
    "gesloten. Ik belde de volgende ochtend, maar niemand kon mij zeggen wanneer er een plek vrij zou zijn in de "
    "werkplaats. Uiteindelijk heb ik het zelf gemaakt met het gereedschap dat ik van mijn buurman mocht lenen, en "
    "sindsdien rijdt hij weer goed, ook als het regent.",
    "sv": "Kedjan på min cykel hoppade av på väg till jobbet, och affären som hade sålt den till mig var redan stängd. "
    "Jag ringde nästa morgon, men ingen kunde säga när det skulle finnas en ledig plats i verkstaden. Till slut lagade "
    "jag den själv med verktyg som jag fick låna av min granne, och sedan dess har den gått bra, även när det regnar.",
    "pl": "Łańcuch w moim rowerze spadł w drodze do pracy, a sklep, który mi go sprzedał, był już zamknięty. "
    "Zadzwoniłem następnego dnia rano, ale nikt nie potrafił mi powiedzieć, kiedy będzie wolne miejsce w warsztacie. "
    "W końcu naprawiłem go sam narzędziami, które pożyczył mi sąsiad, i od tego czasu działa bardzo dobrze, nawet gdy "
    "pada deszcz, więc nie mam już po co tam dzwonić.",
    "fi": "Pyöräni ketju putosi matkalla töihin, ja kauppa, joka oli myynyt sen minulle, oli jo kiinni. Soitin sinne "
    "seuraavana aamuna, mutta kukaan ei osannut sanoa, milloin pajalla olisi vapaa aika. Lopulta korjasin sen itse "
    "työkaluilla, jotka sain lainaksi naapuriltani, ja sen jälkeen se on toiminut hyvin, myös silloin kun sataa. En "
    "ole siis enää soittanut heille, mutta jos se putoaa vielä kerran, niin vien sen sinne.",
    "tr": "Bisikletimin zinciri işe giderken çıktı ve onu bana satan dükkân çoktan kapanmıştı. Ertesi sabah aradım ama "
    "atölyede ne zaman boş yer olacağını kimse bana söyleyemedi. Sonra komşumun bana verdiği aletler ile onu ben tamir "
    "ettim ve o günden beri çok iyi çalışıyor, yağmur yağdığı için korktum ama bir şey olmadı. Bu kadar kolay olduğu "
    "için daha sonra da kendim yapacağım.",
}
OTHER_SCRIPTS = {
    "kk": "Қазақстан Республикасының астанасы — Астана қаласы, ол елдің солтүстігінде, үлкен өзен бойында орналасқан.",
    "bg": "България е държава в Югоизточна Европа, разположена в източната част на полуострова, с дълга история.",
    "mn": "Монгол улс бол Төв Азид оршдог бөгөөд хойд талаараа Орос, өмнө талаараа Хятад улстай хиллэдэг улс юм.",
    "km": "ខ្ញុំស្រឡាញ់ភាសាខ្មែរនិងវប្បធម៌ខ្មែរហើយខ្ញុំចង់រៀនភាសានេះ",
    "lo": "ຂ້ອຍຮັກພາສາລາວແລະວັດທະນະທໍາລາວແລະຢາກຮຽນພາສານີ້",
    "my": "ကျွန်တော်မြန်မာဘာသာစကားကိုချစ်တယ်လေ့လာချင်တယ်" * 3,
    "bo": "ང་བོད་སྐད་ལ་དགའ་པོ་ཡོད་དེ་སྦྱང་འདོད་ཡོད་བོད་ཡིག་གི་དཔེ་ཆ",
    "ru": "Цепь моего велосипеда слетела по дороге на работу, и магазин, где я его купил, был уже закрыт.",
    "uk": "Ланцюг мого велосипеда злетів дорогою на роботу, і крамниця, де я його купив, була вже зачинена.",
    "be": "Ланцуг майго ровара зляцеў па дарозе на працу, і крама, у якой я яго купіў, была ўжо зачыненая.",
    "sr": "Ланац мог бицикла је спао на путу до посла, а продавница која ми га је продала већ је била затворена.",
    "mk": "Синџирот на мојот велосипед падна на патот кон работа, а продавницата веќе беше затворена кога стигнав, "
    "бидејќи немаше струја. Ѓорѓи ми рече дека ќе отворат дури в понеделник.",
    "el": "Η αλυσίδα του ποδηλάτου μου έφυγε στον δρόμο για τη δουλειά και το κατάστημα ήταν ήδη κλειστό.",
    "ja": "自転車のチェーンが通勤中に外れて、売ってくれた店はもう閉まっていました。次の朝に電話をしました。",
    "zh": "我上班路上自行车的链条掉了，卖给我车的店已经关门了。第二天早上我打了电话，可是没有人知道。",
    "ko": "출근길에 자전거 체인이 빠졌는데, 그것을 판 가게는 이미 문을 닫았습니다. 다음 날 아침에 전화했습니다.",
    "ar": "سقطت سلسلة دراجتي في طريقي إلى العمل، وكان المتجر الذي باعها لي قد أغلق بالفعل.",
    "fa": "زنجیر دوچرخه‌ام در راه کار افتاد و مغازه‌ای که آن را به من فروخته بود دیگر بسته بود.",
    "hi": "काम पर जाते समय मेरी साइकिल की चेन उतर गई और जिस दुकान ने मुझे यह बेची थी वह बंद हो चुकी थी।",
    "he": "השרשרת של האופניים שלי נפלה בדרך לעבודה, והחנות שמכרה לי אותם כבר הייתה סגורה.",
    "th": "โซ่จักรยานของฉันหลุดระหว่างทางไปทำงาน และร้านที่ขายให้ฉันก็ปิดแล้ว",
}
CODE = (
    "def mean(values): total = 0 for value in values: total += value return total / len(values) import os, sys class "
    "Reader(object): def __init__(self, path): self.path = path var el = document.querySelector('#list'); const se = "
    "el.map(x => x.id); SELECT name, count(*) FROM users WHERE id IN (1, 2, 3) GROUP BY name ORDER BY name DESC; "
) * 3
MATHS = (
    r"\frac{dy}{dx} = \sin x + \cos x, \tan \theta = \sin \theta / \cos \theta, \int_0^1 x^2 dx = 1/3, add(n0, n1) "
    r"subtract(n2, const_100) divide(#0, #1) multiply(#2, const_pi) log(n0) sqrt(n1) \alpha \beta \gamma \delta "
) * 5
NAMES = "Los Angeles, San Francisco, Rio de Janeiro, La Paz, Le Mans, Den Haag, Des Moines, Santa Fe, El Paso. " * 6


@pytest.mark.parametrize("code", TEXTS)
def test_prose_of_another_language_is_told(code: str) -> None:
    found = guess_of([TEXTS[code]])
    assert found is not None
    assert found.code == code
    shares = [int(share) / 100 for share in re.findall(r"(\d+)%", found.reason)]
    assert shares[0] >= MIN_SHARE
    assert shares[0] >= MIN_RATIO * shares[1]


@pytest.mark.parametrize("code", OTHER_SCRIPTS)
def test_a_language_of_another_script_is_told_by_its_letters(code: str) -> None:
    found = guess_of([OTHER_SCRIPTS[code]] * 2)
    assert found is not None
    assert found.code == code
    assert "of the letters" in found.reason


@pytest.mark.parametrize(
    "texts",
    [
        [ENGLISH],
        [CODE],
        [MATHS],
        [NAMES],
        ["positive", "negative", "neutral"] * 200,
        ["der die das"] * 200,  # three words, however often, are no prose
        [TEXTS["de"][:120]],  # too short to judge
        [ENGLISH, TEXTS["fr"]],  # as many words of both
        [TEXTS["es"], ENGLISH, ENGLISH],
        ["Translate into Japanese, in one sentence and without names: チェーンが外れて店は閉まっていた。"] * 50,
        [r"Show that α + β = γ whenever θ is a right angle, and find ω for Σ = 1 and λ = 2."] * 50,
        ["猫"] * 20,  # too few letters
        ["", "#", "🙂"],
        [],
    ],
)
def test_what_is_not_clear_stays_english(texts: list[str]) -> None:
    assert guess_of(texts) is None


def write(path: Path, texts: list[str]) -> Path:
    rows = ({"text": text, "label": "ab"[i % 2]} for i, text in enumerate(texts))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_sixty_german_sentences_are_no_english(tmp_path: Path) -> None:
    sentences = [part.strip() for part in TEXTS["de"].replace(",", ".").split(".") if part.strip()]
    path = write(tmp_path / "rad.jsonl", [f"{sentences[i % len(sentences)]} {i}" for i in range(60)])
    examples = read(path)
    assert examples.spec.language == "de"
    assert any(note.startswith("language de by its function words (") for note in examples.notes)
    assert any("--language en" in note for note in examples.notes)


def test_a_stated_language_is_never_overruled(tmp_path: Path) -> None:
    path = write(tmp_path / "rad.jsonl", [TEXTS["de"]] * 8)
    assert read(path, language="en").spec.language == "en"
    (tmp_path / "dataset.yaml").write_text(
        "task_type: classification\ntext_fields: [text]\nlabel_field: label\nlanguage: en\n"
    )
    assert read(path).spec.language == "en"


def test_the_language_does_not_change_the_fingerprint(tmp_path: Path) -> None:
    path = write(tmp_path / "rad.jsonl", [TEXTS["de"]] * 8)
    assert read(path).fingerprint == read(path, language="en").fingerprint


def test_texts_without_prompts_are_judged_too(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": TEXTS["it"], "n": i}) + "\n" for i in range(8)))
    assert read(path, roles=["answer=text"]).spec.language == "it"


def test_every_shared_dataset_stays_english(shared: Path) -> None:
    seen = 0
    for folder in sorted(path.parent for path in shared.glob("datasets/*/dataset.yaml")):
        assert load_spec(folder / "dataset.yaml").language == "en"
        assert guess_language(read(folder, split="validation").table) is None, folder.name
        seen += 1
    assert seen == 84

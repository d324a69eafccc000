"""Syllables of English words by rules of spelling.

Owns the count: groups of vowel letters, less those that are silent (made, walked, league), plus those in which two are
heard (area, various, being), and a short list of words that no rule gets right. Against the CMU pronunciations of the
words of 84 datasets, weighted by frequency, .5 % have another count (hyphenation: 8.4 %), which moves the reading ease
by .2 on average (hyphenation: 7.8). Two words of one spelling have one count; what is not a word ("x17") has one
syllable.
"""

from __future__ import annotations

import re

# No English word is longer.
SYLLABLE_CHARACTERS = 64

_VOWELS = re.compile(r"[aeiouy]+")
# Second parts of compounds whose first part ends in a silent e: something, homework.
_SECOND = (
    "thing|times?$|where|work|body|one$|fore|land|room|town|made|man|men|line|house|boat|book|board|player|keeper|paper"
    "|cake|coat|guard|site|side|style|way|wise|wood|stone|bush|ground|print|well|shirt|top$|back|bird|tail|bone|mail|store"
    "|ball|hold|what|how$|walk|cast|spread|length|play|by$|over$|share|lihood"
)
# Each takes a vowel group away, or adds one.
_SILENT = re.compile(
    "|".join(
        (
            r"(?:[aeiouylr]l|[aeiouy]r|[^aeiouylr])e$",  # made, whale, more; not table, acre
            r"(?:[aeiouylr]l|[aeiouy]r|[^aeiouylrscgxzh]|[^csj]h)es$",  # makes, clothes; not boxes, watches
            r"(?:[aeiouylr]l|[aeiouyr]r|[^aeiouylrtd])ed$",  # walked, called; not wanted, settled, hundred
            r"(?<!r)[gq]ue[sd]?$",  # league, technique; not argue
            # statement, careless, likely
            r"(?<=[aeiouy])[^aeiouy]e(?=(?:ment|ful|less|ness|some)(?:s|ly)?$|ly$|ty$)",
            r"(?<=[aeiouy])[^aeiouy]{2}e(?=(?:ment|ful|less|ness|ly)s?$|where$)",  # judgement, strangely
            rf"(?<=[aeiouy])[^aeiouy]e(?=(?:{_SECOND}))",
            r"(?<=^ev)e(?=ry|ning)",  # every, evening
            r"(?<=bus)i(?=ness)",
            r"(?<=ic)a(?=lly$)|(?<=[aeiou][^aeiouy])e(?=s(?:wo)?m[ae]n$)",  # basically, spokesman
        )
    )
)
_HIATUS = re.compile(
    "|".join(
        (
            # media, trial, association, enthusiasm; not special
            r"(?<![cstgln])i(?=a(?!ge))|li(?=ab)|lli(?=ance)|ni(?=al|ac)|[ct]i(?=at)|si(?=as)",
            r"(?<![cstgxn])(?<!ll)(?<!sh)i(?=o(?!r$|rs$|rit))|ni(?=o$)|[ct]i(?=o$)|si(?=o[^nu])|ri(?=or)",
            r"(?<=[^aeiou])ni(?=o[^nru])",
            r"(?<!g)i(?=u)|(?<!a)i(?=re(?:$|s$|d$|ly))",  # medium, and as in fire
            # experience, science, quiet; not patient, friend
            r"(?<![ctsg])(?<!fr)i(?=en(?!d))|sci(?=en)|i(?=et(?!n))",
            # easier, happier
            r"(?<=[aeiouy][^aeiouyt])i(?=e(?:r|st)$)|(?<=[aeiouy][^aeiouy][^aeiouyt])i(?=e(?:r|st)$)",
            r"(?<=ar)e(?=a)|(?<=id)e(?=a(?!l))|(?<=cr)e(?=at(?!ur))|^re(?=a(?:ct|ss|pp|li))|(?<=th)e(?=at)",
            r"(?<=nucl)e(?=[au])|(?<=[ls])e(?=ums?$)",
            r"(?<=lin)e(?=ar)|(?<=[aeiouy][^aeiouyc])e(?=ans?$)|(?<=[aeiouy][^aeiouy][^aeiouyc])e(?=ans?$)",
            r"(?<=n)e(?=at[ei])",
            r"(?<!p)(?<!l)(?<!j)(?<!y)e(?=o(?!us|rg|n$|ns$|ple|u))|(?<=[l])e(?=o(?!p|na))",  # video, theory
            r"(?<![gt])e(?=ous)",
            r"(?<![qg])u(?=a(?!d))|gu(?=ou|ity)|tu(?=ou)|nu(?=ou)|[dl]u(?=ad)",  # actual, evaluate; not quality
            r"(?<![qg])u(?=en[ct]|els?$)(?<!m)|^[df]u(?=el)|cru(?=el)",  # influence, fuel; not sequence
            r"(?<![qg])u(?=i(?:ty|d$|ds$|ng|ci|tion|tive))|^ru(?=in)|nu(?=ine)",  # continuity, suicide; not suit
            r"(?<=[^aeiou])y(?=ing)|[aeiou](?=y[aeiou])(?!yed$)|(?<=[rl])y(?=[ao]n|er)",  # studying, mayor, flyer
            # going, heroic, atheist
            r"[oeiu](?=ing)|o(?=i(?:c(?!e)|nci)|ever)|(?<=[nr])y(?=one$)|e(?=i(?:st|sm|ty))",
            r"^[rd]e(?=in[fsvt])",
            r"(?<=[aeiouy])s(?=ms?$)|th(?=ms?$)",  # tourism, algorithm
            # cooperate, poet, chaos
            r"co(?=op(?:era|t)|ord|ef|ex)|po(?=e[mt])|zo(?=olo)|ch?a(?=os)|o(?=a(?:sis|lit))",
        )
    )
)
# An ending that is heard as a syllable, the apostrophe often left out: didn't, didnt, could've, boss's.
_CONTRACTED = re.compile(
    r"(?<=[ds])n't$|(?<=ve)n't$|(?<=^is)nt$|(?<=^(?:did|had|has|was))nt$|(?<=^does)nt$|(?<=^(?:could|would))nt$"
    r"|(?<=^should)nt$|(?<=[^aeiouy])'(?:ll|ve|re)$|(?:[sxz]|[cs]h|[cg]e|[sz]e)'s$"
)
_ENDING = re.compile(r"(?:n't|'(?:s|t|d|ll|ve|re|m)?)$")
# Names, clippings, letters read one by one, and vowels that are one sound or two without a rule.
_EXCEPTIONS = {
    word: count
    for count, words in {
        1: "eye eyes ms juan starred",
        2: "maybe something wednesday chocolate fashion william williams jesse jose cafe monte louis joel catholic "
        "soldier soldiers glacier premier frontier cashier cereal uk ok eu tv xbox giant giants "
        "mr mrs vs drawer seattle",
        3: "element elements moreover parliament vegetable vegetables valuable convenient usa ceo dna rna fbi cia nba "
        "nfl ibm abc atm entire anyone recipe recipes whoever somebody tokyo hawaii diego angeles",
        4: "diabetes marijuana etc entirely",
        5: "louisiana laboratory",
    }.items()
    for word in words.split()
}


def count_syllables(word: str) -> int:
    """Syllables of a lower-cased English word, at least 1."""
    word = word[:SYLLABLE_CHARACTERS]
    stem = _ENDING.sub("", word)
    known = _EXCEPTIONS.get(word) or _EXCEPTIONS.get(stem)
    added = len(_CONTRACTED.findall(word))
    if known is not None:
        return known + (added if word not in _EXCEPTIONS else 0)
    if not stem.isascii() or not stem.isalpha():
        return 1
    groups = len(_VOWELS.findall(stem))
    if not groups:
        return len(stem) + 2 * stem.count("w") if len(stem) < 5 else 1
    return max(1, groups - len(_SILENT.findall(stem)) + len(_HIATUS.findall(stem))) + added

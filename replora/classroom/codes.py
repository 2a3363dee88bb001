"""What opens a room, a seat and the instructor's desk, and what each is worth against guessing.

- A room's code: 6 of 19 letters, 25 bits. It opens a free seat and nobody's. Of 30 wrong tries a minute from an address
  (`replora.classroom.guesses`) one in 1.5 million finds one of 50 rooms' codes: 17 years of trying for an even chance.
- A seat's code: 4 of 256 words, 32 bits, and the room's code before it. The seat's own browser is told it again, so it
  is kept as it is; it opens a seat of this room until the room ends.
- The instructor's key: 192 bits, kept as a digest. No rate of tries matters.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

LETTERS = "BCDFGHJKMNPQRSTVWXZ"  # no vowels, which make words, and none that looks like another or like a digit
CODE_LENGTH, GROUP = 6, 3
SEAT_WORDS = 4
KEY_BYTES = 24
_TEXT = """
    acorn adult album amber angel apple april arena armor arrow atlas attic aunt
    bacon badge banjo barn basil beach bench bingo birch blanket bloom board
    bottle bread brick bridge broom brush bubble bucket buffalo butter cabin cactus camel candle canoe carbon
    carpet castle cedar cello chair chalk cherry chess cider circus clay clock cloud clover coach cobra cocoa
    comet copper coral cotton cousin crab cradle crane crayon cricket crown cube curtain daisy dance delta denim
    desert diamond dinner dolphin donkey dragon drum eagle earth easel echo elbow elm ember engine fabric falcon
    feather fence fern ferry fiddle field finger flag flame flute forest fossil fox frost garden garlic ghost
    ginger giraffe glass globe glove goat grape gravel guitar hammer harbor harp hazel helmet heron hill hockey
    honey hotel igloo insect iris iron island ivory jacket jaguar jelly jewel jigsaw juice jungle kayak kernel
    kettle kitten ladder lake lamp laser lemon lentil lily linen lion lobster locket lotus magnet mango maple
    marble meadow melon meteor mint mirror monkey moon mosaic moth museum nectar needle nest noodle north nutmeg
    oasis ocean olive onion orbit orchid otter oven owl oyster paddle palm panda paper parrot peach pearl
    pencil pepper piano pigeon pillow pine planet plum pocket pony potato prism puzzle quartz quilt rabbit radio
    raven ribbon river robin rocket rose ruby saddle salmon sand sardine scarf shell silver sketch snow sofa
    spider spoon storm sugar summer swan tango thunder tiger toast tomato topaz
    tulip tunnel turtle umbrella valley velvet violin walnut water whale willow window winter wizard yellow zebra
"""
WORDS: tuple[str, ...] = tuple(_TEXT.split())  # short, common, and none the beginning of another


def new_code() -> str:
    """A room's code."""
    return "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))


def read_code(text: str) -> str:
    """A room's code out of what somebody typed or a link holds, '' where it is none: case, gaps and dashes are free."""
    code = re.sub(r"[\s\-\u2010-\u2015]", "", text[:64]).upper()
    return code if len(code) == CODE_LENGTH and set(code) <= set(LETTERS) else ""


def shown_code(code: str) -> str:
    """'BCD FGH': a room's code as people read it out."""
    return " ".join(code[place : place + GROUP] for place in range(0, len(code), GROUP))


def new_words() -> str:
    """A seat's code: 'acorn bacon cabin daisy'."""
    return " ".join(secrets.choice(WORDS) for _ in range(SEAT_WORDS))


def read_words(text: str) -> str:
    """A seat's code out of what somebody typed; what is none is left as it is, and opens nothing."""
    return " ".join(re.findall(r"[a-z]+", text[:256].lower()))


def new_key() -> str:
    """An instructor's key."""
    return secrets.token_urlsafe(KEY_BYTES)


def digest(key: str) -> str:
    """By what a key is kept; a plain digest is enough for what nobody can guess."""
    return hashlib.sha256(key.encode()).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two texts are the same, in a time that does not say where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())

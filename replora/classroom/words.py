"""The words of a seat's code: short, common, and none the beginning of another."""

from __future__ import annotations

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
WORDS: tuple[str, ...] = tuple(_TEXT.split())

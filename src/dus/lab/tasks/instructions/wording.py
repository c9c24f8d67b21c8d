"""What the instructions are about, and how they ask: categories and topics, openings, and constraints in words.

A constraint is said in a sentence of its own or, where `INLINE` has words for it, within the opening at `{inline}`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """What sentences about one thing are made of: any noun fits any verb, adjective and place."""

    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    adjectives: tuple[str, ...]
    places: tuple[str, ...]


def _topic(nouns: str, verbs: str, adjectives: str, places: str) -> Topic:
    return Topic(tuple(nouns.split()), tuple(verbs.split()), tuple(adjectives.split()), tuple(places.split(", ")))


TOPICS = {
    "the sea": _topic(
        "gull whale sailor boat ship seal dolphin crab",
        "drift turn rest float return wait",
        "grey small old quick calm big",
        "near the shore, under the clouds, along the coast, beside the harbour, behind the waves",
    ),
    "the farm": _topic(
        "cow horse goat pig hen dog farmer duck",
        "eat sleep walk stand look drink",
        "brown young hungry kind clean strong",
        "in the barn, behind the fence, across the field, by the gate, under the tree",
    ),
    "the city": _topic(
        "driver worker tourist cyclist guard painter visitor dancer",
        "stop talk stroll shop arrive argue",
        "busy friendly tall loud patient rich",
        "on the bridge, in the square, near the station, along the street, at the market",
    ),
    "the forest": _topic(
        "owl squirrel rabbit hunter badger snake hiker frog",
        "hide jump listen creep climb linger",
        "shy wild silent red clever afraid",
        "among the leaves, between the trees, under the moss, beside the stream, behind the rocks",
    ),
    "the school": _topic(
        "pupil teacher student boy girl singer reader helper",
        "read write learn sing laugh answer",
        "curious cheerful smart nervous polite lazy",
        "in the classroom, at the table, before the lesson, beside the window, in the library",
    ),
    "the kitchen": _topic(
        "cook baker waiter guest chef uncle aunt cousin",
        "bake stir help chop dine smile",
        "warm generous messy careful proud tired",
        "by the stove, near the oven, at the counter, beside the fridge, near the sink",
    ),
    "the garden": _topic(
        "bee gardener snail spider beetle robin ant worm",
        "crawl work dig wander wake appear",
        "tiny bright pretty green gentle slow",
        "among the roses, under the hedge, along the path, on the lawn, beside the pond",
    ),
    "space": _topic(
        "rocket planet comet star moon robot pilot probe",
        "spin glow move shine travel orbit",
        "distant cold silver strange dark huge",
        "above the earth, beyond the sun, among the rings, around the base, in the sky",
    ),
}

TIMES = ("in the morning", "in the evening", "late at night", "all day long", "on rainy days", "in early spring")
ADVERBS = ("slowly", "quietly", "often", "again", "early", "gladly")
SINGULAR = ("the", "every", "one")
PLURAL = ("the", "many", "some")

CATEGORIES = {
    "animal": "dog cat horse cow sheep goat lion tiger bear wolf fox rabbit mouse elephant",
    "fruit": "apple pear plum grape lemon orange peach cherry banana mango melon fig kiwi lime",
    "colour": "red blue green yellow black white brown pink purple grey gold silver violet beige",
    "garment": "shirt coat hat scarf glove sock shoe boot dress skirt belt jacket sweater cap",
    "tool": "hammer saw drill axe knife shovel rake wrench brush ladder chisel spade ruler needle",
    "vehicle": "car bus train bike truck boat ship plane tram taxi van ferry sled wagon",
    "job": "doctor nurse teacher farmer baker cook judge pilot sailor painter singer driver guard tailor",
    "instrument": "piano violin guitar flute drum trumpet harp cello organ horn banjo bell oboe tuba",
}
MEMBERS = {name: tuple(members.split()) for name, members in CATEGORIES.items()}


NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen",
)  # fmt: skip

PLURALS = {
    "animal": "animals", "fruit": "fruits", "colour": "colours", "garment": "garments", "tool": "tools",
    "vehicle": "vehicles", "job": "jobs", "instrument": "instruments",
}  # fmt: skip

OPENINGS = {
    "list": (
        "List {n} different {topic}{inline}.",
        "Name {n} different {topic}{inline}.",
        "Give me {n} different {topic}{inline}.",
        "Write down {n} different {topic}{inline}.",
        "Can you list {n} different {topic}{inline}?",
        "Make a list of {n} different {topic}{inline}.",
        "Think of {n} different {topic} and list them{inline}.",
        "I need {n} different {topic}{inline}.",
    ),
    "one sentence": (
        "Write one simple sentence about {topic}{inline}.",
        "Give me a simple sentence about {topic}{inline}.",
        "Say something about {topic} in one simple sentence{inline}.",
        "Can you write a simple sentence about {topic}{inline}?",
        "I need one simple sentence about {topic}{inline}.",
        "Write about {topic} in a single simple sentence{inline}.",
    ),
    "sentences": (
        "Write {n} different simple sentences about {topic}{inline}.",
        "Give me {n} different simple sentences about {topic}{inline}.",
        "Describe {topic} in {n} different simple sentences{inline}.",
        "Can you write {n} different simple sentences about {topic}{inline}?",
        "I need {n} different simple sentences about {topic}{inline}.",
        "Write about {topic} in {n} different simple sentences{inline}.",
    ),
    "record": (
        "Fill in a form with the keys {keys}, in this order.",
        "Make a record with the keys {keys}, in this order.",
        "Give one example each for the keys {keys}, in this order.",
        "Choose a value for each of the keys {keys}, in this order.",
    ),
    "repeat": (
        "Write the word {word} {n} times{inline}.",
        "Repeat the word {word} {n} times{inline}.",
        "Say the word {word} {n} times{inline}.",
        "Give me the word {word} {n} times{inline}.",
        "Can you write the word {word} {n} times{inline}?",
    ),
    "sort": (
        "Put these words in {order} order{inline}: {words}.",
        "Sort these words in {order} order{inline}: {words}.",
        "Write these words in {order} order{inline}: {words}.",
        "Here are some words: {words}. Write them in {order} order{inline}.",
        "Arrange the words {words} in {order} order{inline}.",
    ),
}

INLINE = {
    "layout commas": ("separated by commas", "with commas between them"),
    "layout semicolons": ("separated by semicolons", "with semicolons between them"),
    "layout lines": ("each on its own line", "each on a line of its own"),
    "layout numbered": ("as a numbered list", "in a numbered list"),
    "layout bullets": ("as a bullet list", "with bullet points"),
    "case upper": ("in upper case", "in capital letters"),
    "case lower": ("in lower case", "in small letters"),
    "case title": ("with every word capitalised", "with a capital letter in front of every word"),
    "quoted": ("each in double quotes",),
}

SAID = {
    "layout commas": ("Separate them by commas.", "Put commas between them.", "Use commas as separators."),
    "layout semicolons": ("Separate them by semicolons.", "Put semicolons between them."),
    "layout lines": ("Write one on each line.", "Put each on its own line.", "Start a new line for each."),
    "layout numbered": ("Number them.", "Use a numbered list.", "Make it a numbered list."),
    "layout bullets": ("Use bullet points.", "Make it a bullet list.", "Begin each with a bullet point."),
    "layout pairs": (
        "Write one line for each, like key: value.",
        "Use lines of the form key: value.",
        "Answer in lines of the form key: value.",
    ),
    "layout json": (
        "Write a JSON object.",
        "Answer in JSON.",
        "Give the answer as a JSON object.",
    ),
    "case upper": ("Use only capital letters.", "Write in upper case.", "Everything must be in upper case."),
    "case lower": ("Use no capital letters.", "Write in lower case.", "Everything must be in lower case."),
    "case title": ("Begin every word with a capital letter.", "Capitalise each word.", "Capitalise every word."),
    "values upper": ("Write the values in upper case.", "Use capital letters for the values."),
    "values title": ("Begin each value with a capital letter.", "Capitalise the values."),
    "quoted": ("Put each in double quotes.", "Write double quotes around each."),
    "values quoted": ("Put the values in double quotes.", "Write double quotes around each value."),
    "wrapped": ("Put the whole answer in double quotes.", "Write double quotes around your whole answer."),
    "begin": ('Begin with "{phrase}"', 'Start your answer with "{phrase}"', 'The answer must start with "{phrase}"'),
    "end": ('End with "{phrase}"', 'Finish your answer with "{phrase}"', 'The answer must end with "{phrase}"'),
    "order": ("Sort them in {order} order.", "Put them in {order} order.", "The order must be {order}."),
    "first": ("The first must be {word}.", "Begin the list with {word}.", "Start with {word}."),
    "last": ("The last must be {word}.", "Make {word} the last.", "Finish the list with {word}."),
    "include": ("Include {words}.", "Do not leave out {words}.", "Do not forget {words}."),
    "use": ("Use the word {words}.", "Include the word {words}.", "The word {words} must appear."),
    "use several": ("Use the words {words}.", "Include the words {words}.", "The words {words} must appear."),
    "avoid": ("Do not use the word {words}.", "Avoid the word {words}.", "The word {words} must not appear."),
    "avoid several": (
        "Do not use the words {words}.",
        "Avoid the words {words}.",
        "The words {words} must not appear.",
    ),
    "times": ("Use the word {word} exactly {n} times.", "The word {word} must appear exactly {n} times."),
    "words": ("Each sentence must have exactly {n} words.", "Use exactly {n} words in each sentence."),
    "words in one": ("It must have exactly {n} words.", "Use exactly {n} words.", "Write exactly {n} words."),
    "most": ("Use at most {n} words.", "Do not use more than {n} words.", "Write no more than {n} words."),
    "least": ("Use at least {n} words.", "Write at least {n} words.", "Do not use fewer than {n} words."),
    "value": ("The {key} must be {word}.", "Choose {word} as the {key}.", "Take {word} for the {key}."),
}

ORDERS = {"alphabetical": "alphabetical", "reverse": "reverse alphabetical"}
BEGINNINGS = (
    "Here is my answer:", "Sure:", "Of course:", "Here you are:", "My answer is:", "All right:", "Here we go:",
)  # fmt: skip
ENDINGS = ("That is all.", "I hope this helps.", "Thank you.", "This is the end.", "Have a nice day.", "Good luck.")


def joined(words: list[str]) -> str:
    """The words as English lists them: `a`, `a and b`, `a, b and c`."""
    return " and ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else words[0]

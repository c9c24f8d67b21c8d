"""The words of the arithmetic problems: names, things and the sentences of every kind of event.

A sentence pair is (in the question, in the solution); the solution's wording follows from the question's, so that what
a model can get wrong is the arithmetic and not the choice of words. Fields: `who` owns the things, `friend` is somebody
else, `thing` the plural, `n` the number in the sentence; `of` is nothing or the thing, `them` is "them" or the thing.
The equation and the thing follow the solution's words.
"""

from __future__ import annotations

NAMES = (
    "Mia", "Ben", "Anna", "Tom", "Lena", "Max", "Sara", "Paul", "Emma", "Noah", "Olga", "Ivan", "Nina", "Leo", "Ruth",
    "Omar", "Zoe", "Jack", "Lucy", "Sam", "Kate", "Adam", "Rosa", "Hugo", "Amir", "Ella", "Finn", "Grace", "Jonas",
    "Maya", "Peter", "Vera", "Carl", "Dina", "Erik", "Fatima", "Gina", "Hassan", "Julia", "Kofi",
)  # fmt: skip

THINGS = (
    "apples", "pears", "plums", "eggs", "cookies", "cards", "coins", "stamps", "books", "pens", "pencils", "marbles",
    "stickers", "shells", "stones", "flowers", "roses", "candles", "cups", "plates", "balls", "toys", "beads",
    "buttons", "ribbons", "lemons", "oranges", "peaches", "nuts", "muffins", "cakes", "candies", "tickets", "bottles",
    "leaves", "photos", "magnets", "badges", "keys", "bricks",
)  # fmt: skip

CONTAINERS = ("boxes", "bags", "baskets", "jars", "drawers", "bowls")
COLOURS = ("red", "blue", "green", "yellow", "white", "black")
OPENINGS = ("", "", "", "Then ", "Later ", "After lunch ", "In the evening ", "The next day ", "On Sunday ")

GAINS = (
    ("{who} buys {n} more{of}.", "After buying {n} more, {who} has"),
    ("{who} finds {n} more{of}.", "After finding {n} more, {who} has"),
    ("{who} gets {n} more{of}.", "After getting {n} more, {who} has"),
    ("{who} adds {n} {thing}.", "After adding {n}, {who} has"),
    ("{friend} gives {n} more{of} to {who}.", "After getting {n} more from {friend}, {who} has"),
    ("{friend} brings {n} more {thing} for {who}.", "With {n} more from {friend}, {who} has"),
)
LOSSES = (
    ("{who} gives {n}{of} to {friend}.", "After giving {n} to {friend}, {who} has"),
    ("{who} loses {n} of {them}.", "After losing {n}, {who} has"),
    ("{who} sells {n} {thing}.", "After selling {n}, {who} has"),
    ("{who} gives away {n} {thing}.", "After giving away {n}, {who} has"),
    ("{friend} takes {n} of {them}.", "After {friend} takes {n}, {who} has"),
    ("{who} throws away {n}{of}.", "After throwing away {n}, {who} has"),
)
MULTIPLES = (
    ("{who} has {n} times as many{of}.", "With {n} times as many, {who} has"),
    ("{who} counts {n} times as many {thing} as before.", "At {n} times as many, {who} has"),
)
FRACTIONS = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth"}
PARTS = (
    ("{who} keeps only {part} of the {thing}.", "Keeping {part} of them, {who} has"),
    ("only {part} of the {thing} are left for {who}.", "With {part} of them left, {who} has"),
)
MORE = ("{friend} has {n} more {thing} than {who}.", "With {n} more than {who}, {friend} has")
FEWER = ("{friend} has {n} fewer {thing} than {who}.", "With {n} fewer than {who}, {friend} has")
TIMES = ("{friend} has {n} times as many {thing} as {who}.", "With {n} times as many as {who}, {friend} has")

HAS = ("{who} has {n} {thing}.", "{who} had {n} {thing}.", "{who} owns {n} {thing}.", "{who} starts with {n} {thing}.")
PACKED = (
    ("{who} has {n} {box} with {m} {thing} in each.", "In {n} {box} of {m}, {who} has"),
    ("{who} has {n} {box}, and each holds {m} {thing}.", "With {m} in each of {n} {box}, {who} has"),
    ("{who} collects {m} {thing} a day for {n} days.", "In {n} days at {m} a day, {who} has"),
    ("{who} buys {n} {box} of {m} {thing}.", "Buying {n} {box} of {m}, {who} has"),
)
TWO_COLOURS = (
    ("{who} has {n} {colour} {thing} and {m} {other} {thing}.", "Counting {colour} and {other}, {who} has"),
    ("{who} has {n} {thing} at home and {m} at school.", "At home and at school, {who} has"),
)

PLAIN = (
    "How many {thing} does {who} have?", "How many {thing} does {who} have now?",
    "How many {thing} does {who} have in all?", "How many {thing} does {who} have in the end?",
    "How many {thing} are there for {who} at last?", "What is the number of {thing} that {who} has now?",
)  # fmt: skip
SHARES = (
    (
        "{who} shares the {thing} equally among {n} friends. How many {thing} does each friend get?",
        "Shared among {n}, each friend gets",
    ),
    (
        "{who} puts the {thing} equally into {n} {box}. How many {thing} are in each?",
        "Split over {n} {box}, each one holds",
    ),
)
PRICES = (
    (
        "Each of {them} costs {n} dollars. How many dollars do the {thing} of {who} cost?",
        "At {n} dollars each, they cost",
    ),
    (
        "{who} sells each of {them} for {n} dollars. How many dollars does {who} get?",
        "Selling each for {n} dollars, {who} gets",
    ),
)
TOGETHER = (
    ("{friend} has {n} {thing}. How many {thing} do {who} and {friend} have together?", "{who} and {friend} have"),
    ("{friend} has {n} {thing}. How many {thing} do they have in all?", "In all, they have"),
)
NEEDS = (
    ("{who} wants to have {n} {thing}. How many more does {who} need?", "To have {n}, {who} needs"),
    ("There is room for {n} {thing}. How many more can {who} put there?", "With room for {n}, {who} can add"),
)

DISTRACTORS = (
    "{friend} is {n} years old.", "The shop opens at {n}.", "{friend} walks {n} miles to school.",
    "{friend} reads {n} pages a day.", "It is day {n} of the month.", "{friend} lives in house number {n}.",
)  # fmt: skip

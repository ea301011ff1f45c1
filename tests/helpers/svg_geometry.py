"""What is where in a drawn cell: read back from the SVG, not from the code that wrote it."""

import re
from itertools import combinations, pairwise
from xml.etree import ElementTree

SVG = "{http://www.w3.org/2000/svg}"
ARROW, DASHES = 7.0, 13.0


class Picture:
    """Shapes, texts and lines of a picture, each a rectangle or a list of points."""

    def __init__(self, text):
        root = ElementTree.fromstring(text)
        self.width, self.height = map(float, root.get("viewBox").split()[2:])
        self.shapes = [
            tuple(float(r.get(k)) for k in ("x", "y", "width", "height"))
            for r in root.iter(f"{SVG}rect")
        ]
        self.words = ["".join(t.itertext()) for t in root.iter(f"{SVG}text")]
        self.texts = [_box(t) for t in root.iter(f"{SVG}text")]
        self.lines = [_points(p.get("d")) for p in root.iter(f"{SVG}path") if p.get("stroke")]
        paths = list(root.iter(f"{SVG}path"))
        self.dashed = [_points(p.get("d")) for p in paths if p.get("stroke-dasharray")]
        # A line, and the tip of the arrow that is drawn after it.
        self.arrows = [
            (_points(line.get("d")), _points(head.get("d"))[0])
            for line, head in pairwise(paths)
            if line.get("stroke") and not head.get("stroke")
        ]


def faults(text):
    """Everything that overlaps in a picture, in words; slanted lines too."""
    picture = Picture(text)
    found = []
    for a, b in combinations(picture.shapes, 2):
        if _overlap(a, b):
            found.append(f"shapes {a} and {b}")
    for a, b in combinations(picture.texts, 2):
        if _overlap(a[0], b[0]):
            found.append(f"texts {a[1]} and {b[1]}")
    for box, word in picture.texts:
        if _leaves(picture, (box[0], box[1]), (box[0] + box[2], box[1] + box[3])):
            found.append(f"text {word} leaves the picture")
    for line, tip in picture.arrows:
        corner = line[-2]
        if abs(corner[0] - tip[0]) + abs(corner[1] - tip[1]) < ARROW:
            found.append(f"no room for the arrowhead at {tip}")
    for line in picture.dashed:
        if sum(abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in pairwise(line)) < DASHES:
            found.append(f"no room to see that the line from {line[0]} is dashed")
    for line in picture.lines:
        if _leaves(picture, *line):
            found.append(f"line from {line[0]} leaves the picture")
        for a, b in pairwise(line):
            bent = abs(a[0] - b[0]) > 0.2 and abs(a[1] - b[1]) > 0.2
            found += [f"slanted {a} {b}"] if bent else []
            low = (min(a[0], b[0]), min(a[1], b[1]))
            thin = (*low, abs(a[0] - b[0]), abs(a[1] - b[1]))
            found += [f"line {a} {b} in {s}" for s in picture.shapes if _overlap(thin, s)]
            found += [f"line {a} {b} in {w}" for box, w in picture.texts if _overlap(thin, box)]
    return found


def _leaves(picture, *points):
    return any(not (0 <= x <= picture.width and 0 <= y <= picture.height) for x, y in points)


def _points(path):
    """The corners of a path; a round corner counts as the corner that it rounds."""
    numbers = re.findall(r"([MLQ])([-\d.]+) ([-\d.]+)(?: ([-\d.]+) ([-\d.]+))?", path)
    return [(float(x), float(y)) for _, x, y, _, _ in numbers]


def _box(text):
    size = float(text.get("font-size"))
    word = "".join(text.itertext())
    narrow = sum(letter in "iljtf.,·|!' ()" for letter in word)
    width = size * (0.56 * (len(word) - narrow) + 0.33 * narrow)
    x, y = float(text.get("x")), float(text.get("y"))
    left = x if text.get("text-anchor") == "start" else x - width / 2
    return (left, y - 0.72 * size, width, 0.74 * size), word


def _overlap(a, b, slack=0.6):
    """Whether two rectangles share more than a seam."""
    return (
        a[0] + slack < b[0] + b[2]
        and b[0] + slack < a[0] + a[2]
        and a[1] + slack < b[1] + b[3]
        and b[1] + slack < a[1] + a[3]
    )

"""A shop of drawn garments: what it sells on white, and what customers photograph against other colours."""
import os
import random

from PIL import Image, ImageDraw

ITEMS = 40
CATEGORIES = ("dress", "shirt")
SIZE = (96, 120)


def draw(item, consumer):
    """Every item has a colour, a width and stripes of its own; a customer's photo is shifted, on another ground."""
    rng = random.Random(f"{item} {consumer}")
    look = random.Random(item)
    colour = tuple(look.randrange(30, 220) for _ in range(3))
    half, stripes = look.randrange(16, 30), look.randrange(0, 5)
    long = category(item) == "dress"
    ground = (255, 255, 255) if not consumer else tuple(rng.randrange(120, 200) for _ in range(3))
    image = Image.new("RGB", SIZE, ground)
    pen = ImageDraw.Draw(image)
    x, y = 48 + (rng.randrange(-6, 7) if consumer else 0), 16 + (rng.randrange(-4, 5) if consumer else 0)
    bottom = y + (92 if long else 60)
    pen.polygon([(x - half * 0.6, y), (x + half * 0.6, y), (x + half, bottom), (x - half, bottom)], fill=colour)
    if not long:
        for side in (-1, 1):
            sleeve = [(half * 0.6, 0), (half + 14, 30), (half + 4, 34), (half * 0.5, 20)]
            pen.polygon([(x + side * dx, y + dy) for dx, dy in sleeve], fill=colour)
    for i in range(stripes):
        at = y + 10 + i * (bottom - y - 20) / max(stripes, 1)
        pen.line([(x - half * 0.6, at), (x + half * 0.6, at)], fill=tuple(255 - c for c in colour), width=3)
    return image


def name(item):
    return f"sku-{item:03d}"


def category(item):
    return CATEGORIES[item % len(CATEGORIES)]


def write(folder):
    """Photos and photos.tsv, the shop's first. Returns the manifest's path."""
    lines = ["path\titem_id\tcategory\tdomain\tlabel"]
    for domain in ("shop", "consumer"):
        os.makedirs(os.path.join(folder, domain), exist_ok=True)
        for item in range(ITEMS):
            path = os.path.join(folder, domain, f"{item}.jpg")
            draw(item, domain == "consumer").save(path, quality=92)
            lines.append(f"{path}\t{name(item)}\t{category(item)}\t{domain}\t{'evening' if item % 4 == 0 else 'day'}")
    manifest = os.path.join(folder, "photos.tsv")
    with open(manifest, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    return manifest

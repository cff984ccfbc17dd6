#!/usr/bin/env python3
"""Trains hemnet, the small network that Hemline ships, and writes it as ONNX. See MODEL_CARD.md.

    train.py --photos CLOTHING --fashion-mnist FOLDER --teacher MOBILENET_V1.onnx --work FOLDER --out hemnet.onnx

Needs PyTorch, NumPy, Pillow and the onnx package. An interrupted run goes on from its last checkpoint in --work.
Two views are made of every photo; they must find each other among the views of other photos. A view is either the
photo, cropped, warped and lit anew, or its cloth in the outline of a Fashion-MNIST garment on another background: the
second teaches the network to look at the garment and not at the room. Re-tinted twins of a photo count as other
garments, so colour has to be kept. The photos' own crops are also held to the features of an ImageNet MobileNetV1.
"""
import argparse
import gzip
import math
import os
import random
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image

HEIGHT, WIDTH = 128, 96  # what the network sees
SOURCE = (192, 144)  # photos as they are kept for training, 1.5 times that
COLORS, PARTS = 96, 2  # bins of the colour histogram; regions it is taken over
CROPS = 2  # crops of a photo that the teacher has seen
CLASSES = ["dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt"]
OUTLINES = [[3], [8], [2], [4], [1], [2, 6], [5, 7, 9], [1], [3], [0]]  # Fashion-MNIST labels like each class
SKIN = [[0.93, 0.78, 0.68], [0.82, 0.62, 0.48], [0.62, 0.43, 0.31], [0.36, 0.24, 0.18]]
# RGB to a lightness and two opponent colours that weigh more, since shadow changes lightness first.
OPPONENT = torch.tensor([[0.5, 0.5, 0.5], [1.3, -1.3, 0.0], [0.75, 0.75, -1.5]])
PREPROCESS = (f"fit=stretch crop={WIDTH}x{HEIGHT} filter=bilinear scale=255 "
              "mean=0.5,0.5,0.5 std=0.25,0.25,0.25 order=rgb layout=nchw")


# --- data ------------------------------------------------------------------------------------------------------------

def load_photos(folder, splits, cache):
    """Photos stretched to SOURCE as uint8 [n, 3, h, w], and their class numbers."""
    files = [(os.path.join(folder, s, c, f), i) for s in splits for i, c in enumerate(CLASSES)
             for f in sorted(os.listdir(os.path.join(folder, s, c)))]
    if not os.path.exists(cache):
        out = np.empty((len(files), 3, *SOURCE), np.uint8)
        for i, (path, _) in enumerate(files):
            photo = Image.open(path).convert("RGB").resize((SOURCE[1], SOURCE[0]), Image.BILINEAR)
            out[i] = np.asarray(photo).transpose(2, 0, 1)
        np.save(cache, out)
    return torch.from_numpy(np.load(cache)), torch.tensor([c for _, c in files])


def load_outlines(folder):
    """Fashion-MNIST as [n, 2, 28, 28]: outline (holes closed) and shading around 1; and a list of rows by label."""
    def read(name, skip):
        with gzip.open(os.path.join(folder, name)) as f:
            return np.frombuffer(f.read(), np.uint8, offset=skip)
    grey = torch.from_numpy(read("train-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)[:12000].copy()) / 255.0
    label = read("train-labels-idx1-ubyte.gz", 8)[:12000]
    mask = (grey > 0.06).float()
    mask = -F.max_pool2d(-F.max_pool2d(mask, 3, 1, 1), 3, 1, 1)
    mean = (grey * mask).sum((2, 3), True) / mask.sum((2, 3), True).clamp(min=1)
    shade = torch.where(mask > 0, grey / mean.clamp(min=0.05), torch.ones(()))
    return torch.cat([F.avg_pool2d(mask, 3, 1, 1), shade.clamp(0.5, 1.4)], 1), \
        [np.flatnonzero(label == i) for i in range(10)]


# --- teacher ---------------------------------------------------------------------------------------------------------

def run_onnx(path, x):
    """The 'features' of a MobileNet in ONNX (Conv, Clip, Add, GlobalAveragePool, Flatten), computed by PyTorch."""
    import onnx
    from onnx import numpy_helper
    graph = onnx.load(path).graph
    constant = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}

    def run(batch):
        value = dict(constant)
        value[graph.input[0].name] = batch.contiguous(memory_format=torch.channels_last)
        for node in graph.node:
            a = {t.name: onnx.helper.get_attribute_value(t) for t in node.attribute}
            v = [value[i] for i in node.input]
            if node.op_type == "Conv":
                top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
                y = F.conv2d(F.pad(v[0], (left, right, top, bottom)), v[1], v[2] if len(v) > 2 else None,
                             a.get("strides", [1, 1]), groups=a.get("group", 1))
            elif node.op_type == "Clip":
                y = v[0].clamp(float(v[1]), float(v[2]))
            elif node.op_type == "Add":
                y = v[0] + v[1]
            elif node.op_type == "GlobalAveragePool":
                y = v[0].mean((2, 3), keepdim=True)
            elif node.op_type == "Flatten":
                y = v[0].flatten(a.get("axis", 1))
            else:
                raise ValueError(f"{path}: node {node.op_type} is not known here")
            value[node.output[0]] = y
            if node.output[0] == "features":
                return y
        raise ValueError(f"{path}: no output named 'features'")

    with torch.no_grad():
        return torch.cat([run(b) for b in x.split(32)])


def teacher_targets(path, photos, rng, cache):
    """For each photo CROPS boxes (centre x, y and half sizes, all in -1..1) and the teacher's unit features of each."""
    if not os.path.exists(cache):
        n = len(photos)
        half = torch.from_numpy(rng.uniform(0.45, 1.0, (n, CROPS, 1)) * rng.uniform(0.88, 1.14, (n, CROPS, 2)))
        half = half.clamp(max=1.0).float()
        half[:, 0] = 1.0
        centre = torch.from_numpy(rng.uniform(-1, 1, (n, CROPS, 2))).float() * (1 - half)
        boxes = torch.cat([centre, half], 2)
        feats = []
        for i in range(0, n, 16):
            b = boxes[i:i + 16].flatten(0, 1)
            x = photos[i:i + 16].repeat_interleave(CROPS, 0).float() / 255
            x = sample(x, box_matrix(b), 128, 128)  # near what the student sees
            feats.append(F.normalize(run_onnx(path, x * 255 / 128 - 1), dim=1).half())
            if i % 320 == 0:
                print(f"teacher {i}/{n}", flush=True)
        torch.save((boxes, torch.cat(feats).view(n, CROPS, -1)), cache)
    return torch.load(cache)


# --- views -----------------------------------------------------------------------------------------------------------

def uniform(rng, low, high, *shape):
    return torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))


def chance(rng, p, n):
    return torch.from_numpy((rng.random(n) < p).astype(np.float32)).view(n, 1, 1, 1)


def box_matrix(box):
    """[n, 4] boxes to the 3 x 3 matrices that take output coordinates (-1..1) to source coordinates."""
    m = torch.zeros(len(box), 3, 3)
    m[:, 0, 0], m[:, 1, 1], m[:, 0, 2], m[:, 1, 2], m[:, 2, 2] = box[:, 2], box[:, 3], box[:, 0], box[:, 1], 1
    return m


def warp_matrix(rng, n, turn, zoom, shift, bend):
    """Random turn (degrees), zoom (low, high), shift, perspective and mirror around the centre."""
    angle = uniform(rng, -turn, turn, n) * math.pi / 180
    size = torch.exp(uniform(rng, math.log(zoom[0]), math.log(zoom[1]), n))
    aspect = torch.exp(uniform(rng, -0.12, 0.12, n))
    mirror = torch.from_numpy(rng.choice([-1.0, 1.0], n).astype(np.float32))
    shape = HEIGHT / WIDTH  # turns keep right angles although the axes differ in length
    m = torch.zeros(n, 3, 3)
    m[:, 0, 0] = angle.cos() * size * aspect * mirror
    m[:, 0, 1] = -angle.sin() * size * aspect * shape
    m[:, 1, 0] = angle.sin() * size / aspect * mirror / shape
    m[:, 1, 1] = angle.cos() * size / aspect
    m[:, :2, 2] = uniform(rng, -shift, shift, n, 2)
    m[:, 2, :2] = uniform(rng, -bend, bend, n, 2)
    m[:, 2, 2] = 1
    return m


def grid(matrix, height=HEIGHT, width=WIDTH):
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    at = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1, torch.ones(height, width)], -1).view(-1, 3)
    at = at @ matrix.transpose(1, 2)
    return (at[..., :2] / at[..., 2:].clamp(min=0.3)).view(-1, height, width, 2)


def sample(x, matrix, height=HEIGHT, width=WIDTH):
    return F.grid_sample(x, grid(matrix, height, width), "bilinear", "reflection", False)


def turn_hue(x, angle, saturation):
    """Colour turned around the grey axis by angle (radians, [n]) and stretched."""
    y = (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    c = x - y
    axis = torch.stack([c[:, 1] - c[:, 2], c[:, 2] - c[:, 0], c[:, 0] - c[:, 1]], 1) / math.sqrt(3)
    a = angle.view(-1, 1, 1, 1)
    return y + (c * a.cos() - axis * a.sin()) * saturation.view(-1, 1, 1, 1)


def retint(rng, x):
    """The same photo as another colour variant of the garment. Very dark and very light ones change their lightness
    too: no turn of hue would show on them."""
    n = len(x)
    middle = x[:, :, x.shape[2] // 4:-x.shape[2] // 4, x.shape[3] // 4:-x.shape[3] // 4].mean((1, 2, 3))
    toss = uniform(rng, 0, 1, n)
    way = torch.where(toss < 0.3, -1.0, 0.0) + torch.where(toss > 0.7, 1.0, 0.0)
    way = torch.where(middle < 0.35, -torch.ones(n), torch.where(middle > 0.7, torch.ones(n), way))
    y = x.clamp(1e-3, 1) ** torch.exp(way * uniform(rng, 0.5, 1.0, n)).view(n, 1, 1, 1)
    y = turn_hue(y, uniform(rng, 0.8, 2 * math.pi - 0.8, n), uniform(rng, 0.7, 1.5, n))
    direction = uniform(rng, 0, 2 * math.pi, n)
    cast = torch.stack([direction.cos(), (direction - 2.094).cos(), (direction + 2.094).cos()], 1)
    return (y * (1 + (cast * uniform(rng, 0.15, 0.5, n, 1)).view(n, 3, 1, 1))).clamp(0, 1)


def light(rng, x):
    """Exposure, gamma, contrast, white balance, a slight turn of hue, light that falls from one side."""
    n = len(x)
    x = turn_hue(x, uniform(rng, -0.09, 0.09, n), uniform(rng, 0.75, 1.25, n))
    x = x * torch.exp(torch.from_numpy(rng.normal(0, 0.05, (n, 3, 1, 1)).astype(np.float32)))
    x = x * torch.exp(uniform(rng, -0.25, 0.2, n, 1, 1, 1))
    mean = x.mean((1, 2, 3), keepdim=True)
    x = mean + (x - mean) * uniform(rng, 0.8, 1.2, n, 1, 1, 1)
    x = x.clamp(1e-3, 1) ** torch.exp(uniform(rng, -0.22, 0.22, n, 1, 1, 1))
    ramp = torch.linspace(-1, 1, HEIGHT).view(1, 1, -1, 1) * uniform(rng, -1, 1, n, 1, 1, 1)
    ramp = ramp + torch.linspace(-1, 1, WIDTH).view(1, 1, 1, -1) * uniform(rng, -1, 1, n, 1, 1, 1)
    return (x * (1 + 0.2 * ramp * chance(rng, 0.4, n))).clamp(0, 1)


def blur(x, weights):
    for dim in (2, 3):
        k, size = len(weights) // 2, x.shape[dim]
        y = F.pad(x, (0, 0, k, k) if dim == 2 else (k, k, 0, 0), "replicate")
        x = sum(w * y.narrow(dim, i, size) for i, w in enumerate(weights)) / sum(weights)
    return x


def jpeg(rng, x):
    """8 x 8 cosine blocks rounded to steps that grow with frequency: what strong JPEG does to a photo."""
    k = torch.arange(8.0)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    basis = torch.einsum("ui,vj->uvij", basis, basis).reshape(64, 1, 8, 8)
    step = (1 + k[None] + k[:, None]).view(1, 64, 1, 1) * \
        uniform(rng, 0.01, 0.06, len(x), 1, 1, 1).repeat_interleave(3, 0)
    c = F.conv2d(x.reshape(-1, 1, HEIGHT, WIDTH), basis, stride=8)
    return F.conv_transpose2d(torch.round(c / step) * step, basis, stride=8).view(x.shape).clamp(0, 1)


def spoil(rng, x):
    """What a phone, a messenger and a web shop do to a photo: light, blur, noise, JPEG; each on some."""
    x = light(rng, x)
    for chosen, change in ((0.25, lambda v: blur(v, [1.0, 2.0, 1.0])),
                           (0.15, lambda v: blur(v, [1.0, 4.0, 6.0, 4.0, 1.0])),
                           (0.25, lambda v: jpeg(rng, v))):
        rows = torch.from_numpy(np.flatnonzero(rng.random(len(x)) < chosen))
        if len(rows):
            x = x.index_copy(0, rows, change(x[rows]))
    noise = torch.from_numpy(rng.standard_normal(x.shape, np.float32)) * uniform(rng, 0, 0.03, len(x), 1, 1, 1)
    return (x + noise * chance(rng, 0.3, len(x))).clamp(0, 1)


def backdrop(rng, x):
    """Backgrounds: white or grey studio, one colour, or a large piece of another photo."""
    n = len(x)
    studio = uniform(rng, 0.82, 1.0, n, 1, 1, 1).expand(n, 3, 1, 1)
    studio = torch.where(chance(rng, 0.6, n) > 0, torch.ones(()), studio)
    plain = torch.where(chance(rng, 0.75, n) > 0, studio, uniform(rng, 0, 1, n, 3, 1, 1))
    other = sample(x, warp_matrix(rng, n, 20, (0.5, 1.0), 0.1, 0.0))
    return torch.where(chance(rng, 0.7, n) > 0, plain.expand_as(other), other)


def photo_view(rng, x, others, box):
    """The photo's box, warped; some are set smaller on a backdrop, some have things in front at the edges."""
    n = len(x)
    warp = warp_matrix(rng, n, 15, (0.75, 1.05), 0.08, 0.08)
    away = np.flatnonzero(rng.random(n) < 0.25)
    warp[away, :2] *= uniform(rng, 1.1, 1.8, len(away), 1, 1)
    y = sample(x, box_matrix(box) @ warp)
    if len(away):
        inside = (grid(warp[away]).abs() <= 1).all(-1)[:, None]
        y[away] = torch.where(inside, y[away], backdrop(rng, others[away]))
    front = np.flatnonzero(rng.random(n) < 0.35)
    if len(front):
        m = len(front)
        patch = sample(others.roll(5, 0)[front], warp_matrix(rng, m, 30, (0.3, 0.8), 0.2, 0.0))
        side = torch.from_numpy(rng.choice([-1, 1], (m, 2)).astype(np.float32))
        off = (grid(torch.eye(3)[None]) - (uniform(rng, 0.55, 1.0, m, 2) * side).view(m, 1, 1, 2)).abs()
        y[front] = torch.where((off < uniform(rng, 0.15, 0.5, m, 1, 1, 2)).all(-1)[:, None], patch, y[front])
    return y


def layer(outlines, rows, matrix):
    """Outline with soft edge and shading of Fashion-MNIST garments, drawn through the matrices."""
    g = F.grid_sample(outlines[rows], grid(matrix), "bilinear", "zeros", False)
    return ((g[:, :1] - 0.4) / 0.2).clamp(0, 1), g[:, 1:]


def ellipse(at, cx, cy, rx, ry):
    n = len(at)
    d = ((at[..., 0] - cx.view(n, 1, 1)) / rx.view(n, 1, 1)) ** 2 + \
        ((at[..., 1] - cy.view(n, 1, 1)) / ry.view(n, 1, 1)) ** 2
    return ((1.3 - d) / 0.4).clamp(0, 1)[:, None]


def dressed_view(rng, x, others, label, outlines, by_label):
    """The photo's cloth in a garment's outline: with a second garment of other cloth, a person's skin, a backdrop.
    Returns the views and the outline that is to be found [n, 1, h, w]."""
    n = len(x)
    rows = [int(rng.choice(by_label[rng.choice(OUTLINES[c])])) for c in label]
    place = warp_matrix(rng, n, 12, (0.6, 1.7), 0.2, 0.05)
    place[:, 0] *= WIDTH / HEIGHT  # Fashion-MNIST is square
    at = grid(place)
    out = backdrop(rng, others)
    tone = torch.tensor(SKIN)[torch.from_numpy(rng.integers(0, len(SKIN), n))].view(n, 3, 1, 1)
    up = uniform(rng, 0.9, 1.25, n)
    person = torch.maximum(
        ellipse(at, uniform(rng, -0.1, 0.1, n), -up, uniform(rng, 0.15, 0.28, n), uniform(rng, 0.2, 0.4, n)),
        ellipse(at, uniform(rng, -0.1, 0.1, n), up, uniform(rng, 0.15, 0.45, n), uniform(rng, 0.4, 0.9, n)))
    person = person * chance(rng, 0.5, n)
    out = out + (tone * uniform(rng, 0.75, 1.1, n, 1, 1, 1) - out) * person
    above = torch.tensor([1.0 if c in (4, 7, 8) else -1.0 for c in label])  # a top over trousers, trousers under a top
    second = place.clone()
    second[:, 1, 2] += above * uniform(rng, 1.3, 1.7, n)
    partner = [int(rng.choice(by_label[0 if c in (4, 7, 8) else 1])) for c in label]
    mask, shade = layer(outlines, partner, second)
    mask = mask * chance(rng, 0.5, n)
    cloth = sample(others.roll(5, 0), warp_matrix(rng, n, 40, (0.15, 0.5), 0.15, 0.05))
    out = out + (cloth * shade - out) * mask
    mask, shade = layer(outlines, rows, place)
    cloth = sample(x, warp_matrix(rng, n, 40, (0.15, 0.5), 0.15, 0.05))
    out = out + (cloth * (1 + (shade - 1) * uniform(rng, 0.2, 0.8, n, 1, 1, 1)) - out) * mask
    return out.clamp(0, 1), mask


# --- network ---------------------------------------------------------------------------------------------------------

def conv(i, o, stride=1, kernel=3):
    return nn.Sequential(nn.Conv2d(i, o, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(o))


class Residual(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.first, self.second = conv(i, o, stride), conv(o, o)
        self.skip = conv(i, o, stride, 1) if i != o or stride > 1 else nn.Identity()

    def forward(self, x):
        return F.relu(self.second(F.relu(self.first(x))) + self.skip(x))


class Hemnet(nn.Module):
    """[n, 3, 128, 96] to unit vectors: a soft colour histogram of the garment, and what the garment is.

    The histogram's bins are a learned 1 x 1 convolution and softmax, started as k-means of colours; the regions it is
    taken over are learned too, the first from outlines that are known in dressed views.
    """

    def __init__(self, color_dim=128, shape_dim=128):
        super().__init__()
        self.stem = conv(3, 16, 2)
        self.low = Residual(16, 32, 2)
        self.high = nn.Sequential(Residual(32, 64, 2), Residual(64, 128, 2), conv(128, 192), nn.ReLU())
        self.mask_low, self.mask_high = nn.Conv2d(32, PARTS, 1), nn.Conv2d(192, PARTS, 1)
        h, w = HEIGHT // 4, WIDTH // 4
        at = grid(torch.eye(3)[None], h, w)[0]
        self.prior = nn.Parameter((1 - 2 * (at ** 2).sum(-1))[None, None].repeat(1, PARTS, 1, 1))
        self.bins = nn.Conv2d(3, COLORS, 1)
        self.color = nn.Linear(PARTS * COLORS, color_dim, bias=False)
        self.shape = nn.Linear(2 * 192, shape_dim)
        self.balance = nn.Parameter(torch.zeros(()))

    def start_bins(self, rgb, rng):
        """k-means of colours [n, 3] in 0..1; softmax of -distance^2 / width is linear in the colour."""
        opponent = rgb @ OPPONENT.T
        centre = opponent[torch.from_numpy(rng.choice(len(rgb), COLORS, False))]
        for _ in range(25):
            near = torch.cdist(opponent, centre).argmin(1)
            centre = torch.stack([opponent[near == k].mean(0) if (near == k).any() else centre[k]
                                  for k in range(COLORS)])
        width = torch.cdist(centre, centre).sort(1)[0][:, 1].mean() ** 2
        with torch.no_grad():
            weight = 2 * centre @ OPPONENT / width  # on 0..1; the network's input is (x - 0.5) / 0.25
            self.bins.weight.copy_((weight * 0.25)[:, :, None, None])
            self.bins.bias.copy_(weight.sum(1) * 0.5 - (centre ** 2).sum(1) / width)
            nn.init.orthogonal_(self.color.weight)

    def parts(self, x):
        low = self.low(F.relu(self.stem(x)))
        high = self.high(low)
        logit = self.mask_low(low) + F.interpolate(self.mask_high(high), scale_factor=4.0, mode="bilinear",
                                                   align_corners=False) + self.prior
        mask = torch.sigmoid(logit) + 1e-3
        code = torch.softmax(self.bins(F.avg_pool2d(x, 4)), 1).flatten(2)
        share = mask.flatten(2)
        share = share / share.sum(2, keepdim=True)
        histogram = torch.sqrt(torch.matmul(share, code.transpose(1, 2)) + 1e-4)
        color = F.normalize(self.color(histogram.flatten(1)), dim=1)
        small = F.avg_pool2d(mask[:, :1], 4)
        inside = (high * small).mean((2, 3)) / small.mean((2, 3))
        shape = F.normalize(self.shape(torch.cat([inside, high.mean((2, 3))], 1)), dim=1)
        return color, shape, logit

    def join(self, color, shape):
        a = torch.sigmoid(self.balance)
        return torch.cat([color * torch.sqrt(a), shape * torch.sqrt(1 - a)], 1)

    def forward(self, x):
        color, shape, _ = self.parts(x)
        return self.join(color, shape)


class Heads(nn.Module):
    """Used in training only."""

    def __init__(self, teacher_dim, shape_dim=128):
        super().__init__()
        self.teach, self.kind = nn.Linear(shape_dim, teacher_dim), nn.Linear(shape_dim, len(CLASSES))
        self.sharp = nn.Parameter(torch.tensor([math.log(12.0)] * 3))


# --- training --------------------------------------------------------------------------------------------------------

def to_input(x):
    return (x - 0.5) / 0.25


class Views:
    """Everything views are made of, and the two kinds of them."""

    def __init__(self, photos, labels, boxes, outlines):
        self.photos, self.labels, self.boxes = photos, labels, boxes
        self.outlines, self.by_label = outlines

    def source(self, rng, rows, tinted):
        """The photos of rows, those chosen (bool per row) re-tinted."""
        x = self.photos[rows].float() / 255
        some = torch.from_numpy(np.flatnonzero(tinted))
        return x.index_copy(0, some, retint(rng, x[some])) if len(some) else x

    def make(self, rng, x, rows, dressed):
        """One view of each source x of rows; dressed (bool per row) says which kind. Also the number of the crop taken
        and, where dressed, the outline."""
        crop = torch.from_numpy(rng.integers(0, CROPS, len(rows)))
        y, outline = torch.empty(len(rows), 3, HEIGHT, WIDTH), torch.zeros(len(rows), 1, HEIGHT, WIDTH)
        others = x.roll(3, 0)
        for kind in (False, True):
            at = torch.from_numpy(np.flatnonzero(dressed == kind))
            if not len(at):
                continue
            if kind:
                y[at], outline[at] = dressed_view(rng, x[at], others[at], self.labels[rows][at].tolist(),
                                                  self.outlines, self.by_label)
            else:
                y[at] = photo_view(rng, x[at], others[at], self.boxes[rows, crop][at])
        return spoil(rng, y), crop, outline


def info_nce(z, pairs, sharp):
    """z: [2n, d], row i and i + n are two views of one garment."""
    s = z @ z.T * sharp.exp().clamp(max=100)
    s = s - 1e4 * torch.eye(len(z))
    return F.cross_entropy(s, torch.arange(len(z)).roll(pairs))


def step_loss(net, heads, views, targets, rng, batch, twins):
    n = batch
    rows = torch.from_numpy(rng.choice(len(views.photos), n - twins, False))
    rows = torch.cat([rows, rows[:twins]])
    tinted = rng.random(n) < 0.25  # more than the twins, so that odd colours are not a mark of a twin
    tinted[n - twins:], tinted[:twins] = True, False
    source = views.source(rng, rows, tinted)
    dressed = [rng.random(n) < 0.45 for _ in range(2)]
    made = [views.make(rng, source, rows, d) for d in dressed]
    x = torch.cat([m[0] for m in made])
    color, shape, logit = net.parts(to_input(x))
    sharp = heads.sharp
    both = info_nce(net.join(color, shape), n, sharp[0])
    only = info_nce(color, n, sharp[1]) + info_nce(shape, n, sharp[2])
    all_rows, worn = torch.cat([rows, rows]), torch.from_numpy(np.concatenate(dressed))
    plain = ~worn & ~torch.from_numpy(np.concatenate([tinted, tinted]))
    want = targets[all_rows, torch.cat([m[1] for m in made])][plain].float()
    teach = (1 - F.cosine_similarity(heads.teach(shape[plain] * 4), want)).mean()
    kind = F.cross_entropy(heads.kind(shape[~worn] * 8), views.labels[all_rows][~worn], label_smoothing=0.1)
    outline = F.avg_pool2d(torch.cat([m[2] for m in made])[worn], 4)
    mask = F.binary_cross_entropy_with_logits(logit[worn][:, :1], outline)
    loss = both + 0.3 * only + 3 * teach + 0.3 * kind + mask
    return loss, [v.item() for v in (both, only, teach, kind, mask)]


@torch.no_grad()
def validate(net, views, train, seed=7):
    """Recall at 1 of view 2 among view 2 of all photos and of their re-tinted twins, by pair of kinds; and of class."""
    net.eval()
    rng = np.random.default_rng(seed)
    n = len(views.photos)
    rows = torch.arange(n)

    def embed(tinted, worn):
        out = []
        for r in rows.split(64):
            x = views.source(np.random.default_rng(seed + int(r[0])), r, np.full(len(r), tinted))
            out.append(net.parts(to_input(views.make(rng, x, r, np.full(len(r), worn))[0]))[:2])
        return [torch.cat(part) for part in zip(*out)]

    sets = {k: embed(t, w) for k, t, w in (("p1", False, False), ("p2", False, False), ("pt", True, False),
                                           ("d1", False, True), ("d2", False, True), ("dt", True, True))}
    score = {}
    for name, q, g, twin in (("photo-photo", "p1", "p2", "pt"), ("photo-dressed", "p1", "d2", "dt"),
                           ("dressed-photo", "d1", "p2", "pt")):
        for part, pick in (("", lambda s: net.join(*s)), ("/color", lambda s: s[0]), ("/shape", lambda s: s[1])):
            s = pick(sets[q]) @ torch.cat([pick(sets[g]), pick(sets[twin])]).T
            score[name + part] = (s.argmax(1) == rows).float().mean().item()

    def clean(v):
        small = (F.interpolate(b.float() / 255, (HEIGHT, WIDTH), mode="bilinear", antialias=True)
                 for b in v.photos.split(128))
        return torch.cat([net(to_input(b)) for b in small])

    near = (clean(views) @ clean(train).T).argmax(1)
    score["class"] = (train.labels[near] == views.labels).float().mean().item()
    net.train()
    return score


def export(net, path, meta):
    import onnx
    net = net.eval()
    torch.onnx.export(net, torch.zeros(1, 3, HEIGHT, WIDTH), path, opset_version=13, input_names=["input"],
                      output_names=["features"], dynamic_axes={"input": {0: "n"}, "features": {0: "n"}})
    model = onnx.load(path)
    for key, value in meta.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    print(f"{path}: {os.path.getsize(path)} bytes")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--photos", required=True, help="folder with train/CLASS/*.jpg and validation/CLASS/*.jpg")
    p.add_argument("--fashion-mnist", required=True, help="folder with Fashion-MNIST's train-*.gz")
    p.add_argument("--teacher", required=True, help="MobileNetV1 in ONNX with an output named features")
    p.add_argument("--work", required=True, help="folder for decoded photos, teacher features and checkpoints")
    p.add_argument("--out", required=True, help="the ONNX file to write")
    p.add_argument("--steps", type=int, default=2400)
    p.add_argument("--batch", type=int, default=64, help="garments a step; two views of each")
    p.add_argument("--rate", type=float, default=2e-3)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--export-only", action="store_true", help="write the last checkpoint as ONNX and stop")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    random.seed(a.seed)
    rng = np.random.default_rng(a.seed)
    os.makedirs(a.work, exist_ok=True)
    at = lambda name: os.path.join(a.work, name)

    photos, labels = load_photos(a.photos, ["train"], at("train.npy"))
    held, held_labels = load_photos(a.photos, ["validation"], at("validation.npy"))
    outlines = load_outlines(a.fashion_mnist)
    boxes, targets = teacher_targets(a.teacher, photos, rng, at("teacher.pt"))
    train = Views(photos, labels, boxes, outlines)
    half = uniform(np.random.default_rng(5), 0.45, 1.0, len(held), CROPS, 1).expand(-1, -1, 2)
    centre = uniform(np.random.default_rng(6), -1, 1, len(held), CROPS, 2) * (1 - half)
    validation = Views(held, held_labels, torch.cat([centre, half], 2), outlines)

    net, heads = Hemnet(), Heads(targets.shape[2])
    pixels = photos[::4].float().div(255)
    pixels = torch.cat([pixels, retint(rng, pixels)])[:, :, ::24, ::24].permute(0, 2, 3, 1).reshape(-1, 3)
    net.start_bins(pixels, rng)
    slow = [v for k, v in net.named_parameters() if v.ndim < 2 or k.startswith(("bins", "prior"))] + [heads.sharp]
    ids = {id(v) for v in slow}
    rest = [v for v in list(net.parameters()) + list(heads.parameters()) if id(v) not in ids]
    optimizer = torch.optim.AdamW([{"params": slow, "weight_decay": 0.0}, {"params": rest, "weight_decay": 0.05}], lr=a.rate)
    mean = Hemnet()  # running mean of the weights: what is shipped
    mean.load_state_dict(net.state_dict())
    start, spent = 0, 0.0
    if os.path.exists(at("last.pt")):
        state = torch.load(at("last.pt"))
        net.load_state_dict(state["net"]), heads.load_state_dict(state["heads"]), mean.load_state_dict(state["mean"])
        optimizer.load_state_dict(state["optimizer"])
        start, spent = state["step"], state["spent"]
        rng = np.random.default_rng(a.seed * 1000003 + start)
        print(f"goes on from step {start}", flush=True)

    def keep(step):
        torch.save({"net": net.state_dict(), "heads": heads.state_dict(), "mean": mean.state_dict(),
                    "optimizer": optimizer.state_dict(), "step": step, "spent": spent}, at("last.tmp"))
        os.replace(at("last.tmp"), at("last.pt"))
        if step % 200 == 0 or step == a.steps:
            score = validate(mean, validation, train)
            print(step, f"{spent:.0f} s of CPU", {k: round(v, 3) for k, v in score.items()}, flush=True)

    for step in range(start, 0 if a.export_only else a.steps):
        began = time.process_time()
        for group in optimizer.param_groups:
            group["lr"] = a.rate * min((step + 1) / 100, 0.5 + 0.5 * math.cos(math.pi * step / a.steps) + 0.005)
        loss, parts = step_loss(net, heads, train, targets, rng, a.batch, a.batch // 4)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(rest, 5.0)
        optimizer.step()
        with torch.no_grad():
            decay = min(0.99, (1 + step) / (10 + step))
            for m, v in zip(mean.state_dict().values(), net.state_dict().values()):
                m.lerp_(v, 1 - decay) if m.is_floating_point() else m.copy_(v)
        spent += time.process_time() - began
        if step % 10 == 0:
            print(step, f"{loss.item():.3f}", [round(v, 3) for v in parts], [round(v, 1) for v in heads.sharp.exp().tolist()],
                  round(torch.sigmoid(net.balance).item(), 3), flush=True)
        if (step + 1) % 20 == 0 or step + 1 == a.steps:
            keep(step + 1)
    export(mean, a.out, {"hemline.preprocess": PREPROCESS, "hemline.layer": "features"})


if __name__ == "__main__":
    main()

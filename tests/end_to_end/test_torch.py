"""Networks from PyTorch, exported as anybody would: what Hemline computes from a JPEG file equals what PyTorch computes
from it, with torchvision's own transforms. Weights are random, from a seed. Needs python3-torch, -torchvision, -pil and
-h5py, and ONNX Runtime."""
import os
import random
import warnings

import support

try:
    import h5py
    import numpy as np
    import PIL.Image
    import PIL.ImageDraw
    import torch
    import torchvision
    from torchvision import transforms
    MISSING = None
except ImportError as e:
    MISSING = str(e)

TOLERANCE = 1e-4  # of the largest value
SEED = 20180713


def draw(path, number, width, height):
    """Something with edges, areas, colours that differ and fine noise, so that a slip in stretching or order shows."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    waves = [120 + 100 * np.sin((3 + number + 5 * c) * x + (7 - 2 * c) * y * (1 + number % 3)) for c in range(3)]
    pixels = np.stack(waves, axis=2) + rng.normal(0, 12, (height, width, 3))
    image = PIL.Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    pen = PIL.ImageDraw.Draw(image)
    for _ in range(12):
        box = sorted(rng.integers(0, width, 2).tolist()), sorted(rng.integers(0, height, 2).tolist())
        pen.rectangle((box[0][0], box[1][0], box[0][1], box[1][1]), fill=tuple(rng.integers(0, 256, 3).tolist()))
    image.save(path, quality=90)


def real_photos(count):
    """Real ones, where they are at hand; without colour profile and upright, which torchvision does not look at."""
    folder, found = os.path.join(support.SHARED, "clothing", "test"), []
    for kind in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        for name in sorted(os.listdir(os.path.join(folder, kind)))[:3]:
            path = os.path.abspath(os.path.join(folder, kind, name))
            with PIL.Image.open(path) as image:
                if "icc_profile" not in image.info and image.getexif().get(274, 1) == 1 and image.mode == "RGB":
                    found.append(path)
    return found[:count]


def settle(network, size):
    """Batch normalisation takes its statistics from a few pictures: without them, what comes out of a random network
    hardly depends on what goes in."""
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for m in norms:
        m.reset_running_stats()
        m.momentum = None
    if norms:
        with torch.no_grad():
            network.train()
            network(torch.randn(4, 3, size, size).cumsum(2).cumsum(3) / 40)
    return network.eval()


@support.unittest.skipIf(MISSING, f"PyTorch is not all here: {MISSING}")
class Torch(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        torch.set_num_threads(2)
        cls.photos = []
        for i, (width, height) in enumerate(((640, 480), (300, 533), (224, 224), (90, 130), (1501, 997))):
            cls.photos.append(cls.at(f"photo{i}.jpg"))
            draw(cls.photos[-1], i, width, height)
        cls.photos += real_photos(5)
        with open(cls.at("photos.tsv"), "w", encoding="utf-8") as f:
            f.write("path\n" + "".join(p + "\n" for p in cls.photos))

    def reference(self, network, layer, before, resize, crop, swapped=False):
        """What enters or leaves the layer, for each photo, by PyTorch alone."""
        prepare = transforms.Compose([
            transforms.Resize(resize), transforms.CenterCrop(crop), transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
        seen = []
        hook = (layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone())) if before else
                layer.register_forward_hook(lambda _, inputs, output: seen.append(output.detach().clone())))
        with torch.no_grad():
            for path in self.photos:
                image = PIL.Image.open(path).convert("RGB")
                if swapped:
                    image = PIL.Image.merge("RGB", image.split()[::-1])
                network(prepare(image)[None])
        hook.remove()
        return np.stack([s.numpy().reshape(-1) for s in seen])

    def check(self, name, dim, layer, before, resize=256, crop=224, **options):
        torch.manual_seed(SEED)
        random.seed(SEED)
        network = settle(getattr(torchvision.models, name)(weights=None, **options), crop)
        model, catalog = self.at(name + ".onnx"), self.at(name + ".h5")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(network, torch.zeros(1, 3, crop, crop), model, opset_version=13)
            done = self.run_hemline("ingest", catalog, "--manifest", self.at("photos.tsv"), "--cnn", model, "--preset", name)
        finally:
            if os.path.exists(model):
                os.remove(model)
        err = done.stderr.decode()
        if "ONNX Runtime" in err and done.returncode == 1:
            self.skipTest(err)
        self.assertEqual(done.returncode, 0, err)
        self.assertIn(f"{name}: fit=shorter resize={resize} crop={crop} ", err)
        self.assertIn(f"{dim} values", err)
        with h5py.File(catalog, "r") as f:
            order = [p.decode() if isinstance(p, bytes) else p for p in f["photos"]["path"][:]]
            got = dict(zip(order, f["embeddings"][name][:]))
        got = np.stack([got[p] for p in self.photos])
        want = self.reference(network, layer(network), before, resize, crop)
        self.assertEqual(got.shape, (len(self.photos), dim))
        self.assertEqual(want.shape, got.shape)
        worst = max(np.abs(g - w).max() / np.abs(w).max() for g, w in zip(got, want))
        print(f"{name}: {len(got)} photos, {dim} values, largest {np.abs(want).max():.3g}, "
              f"largest difference {worst:.2g} of it", flush=True)
        self.assertLessEqual(worst, TOLERANCE)
        # It can fail: other photos, and red and blue swapped, are far away.
        swapped = self.reference(network, layer(network), before, resize, crop, swapped=True)
        for i, w in enumerate(want):
            self.assertGreater(np.abs(swapped[i] - w).max() / np.abs(w).max(), 100 * TOLERANCE)
            self.assertGreater(np.abs(want[i - 1] - w).max() / np.abs(w).max(), 100 * TOLERANCE)

    def test_resnet50(self):
        self.check("resnet50", 2048, lambda n: n.avgpool, False)

    def test_mobilenet_v2(self):
        self.check("mobilenet_v2", 1280, lambda n: n.classifier, True)

    def test_inception_v3(self):
        self.check("inception_v3", 2048, lambda n: n.avgpool, False, 342, 299, init_weights=True, transform_input=True)

    def test_vgg16(self):
        """The third to last layer: the first fully connected one, activated."""
        self.check("vgg16", 4096, lambda n: n.classifier[1], False)

    def test_vgg19(self):
        self.check("vgg19", 4096, lambda n: n.classifier[1], False)


if __name__ == "__main__":
    support.main()

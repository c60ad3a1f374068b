"""Trains the two digit classifiers of the demo and writes models/, data/test.json and models/metrics.json beside this folder.

The data is the UCI set of handwritten digits that scikit-learn carries: 1,797 images of 8x8 pixels with values 0..16. Nothing is downloaded.
Training images are repeated with turns, slants, stretches, shifts and bends, so that digits drawn with a mouse are recognised too;
a few writing styles that hardly occur in the data (an open 4, a 1 with a foot, a 9 with a hook) are drawn as lines and added. The held-out test images are
used as they are, and only to measure.
"""

import base64
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

SEED = 20260
TEST_IMAGES = 400
VARIANTS_PER_IMAGE = 24
PASSES = 40
LEARNING_RATE = 2e-3
# Widths of the hidden layers and weight of the L2 penalty, chosen by 4-fold cross-validation within the training images.
MODELS = {"small": ((48,), 1e-3), "large": ((128, 64), 3e-2)}

# Ways of writing that the people of the data set did not have: strokes in a unit square, y downwards, as the corners of each line.
STYLES = [
    (4, [[(0.2, 0), (0.1, 0.55), (0.9, 0.55)], [(0.75, 0), (0.75, 1)]]),
    (4, [[(0.15, 0.1), (0.15, 0.5), (0.85, 0.5)], [(0.8, 0), (0.65, 1)]]),
    (4, [[(0.2, 0), (0.05, 0.6), (0.95, 0.5)], [(0.6, 0.2), (0.6, 1)]]),
    (1, [[(0.2, 0.25), (0.5, 0), (0.5, 1)], [(0.15, 1), (0.85, 1)]]),
    (1, [[(0.5, 0), (0.5, 1)]]),
    (7, [[(0.1, 0), (0.9, 0), (0.4, 1)]]),
    (7, [[(0.15, 0.2), (0.15, 0), (0.9, 0), (0.55, 0.5), (0.45, 1)]]),
    (9, [[(0.8, 0.2), (0.5, 0), (0.2, 0.1), (0.1, 0.3), (0.3, 0.55), (0.6, 0.5), (0.8, 0.2), (0.85, 0.6), (0.7, 0.9), (0.3, 1)]]),
    (9, [[(0.8, 0.25), (0.5, 0), (0.2, 0.1), (0.1, 0.3), (0.4, 0.55), (0.8, 0.25), (0.75, 1)]]),
    (6, [[(0.8, 0), (0.4, 0.2), (0.15, 0.6), (0.25, 0.9), (0.55, 1), (0.85, 0.8), (0.75, 0.5), (0.45, 0.45), (0.2, 0.65)]]),
]
DRAWINGS_PER_STYLE = 30

# Opset 13 is the first whose Softmax works along one axis; an old IR version keeps old runtimes able to load the file.
OPSET = 13
IR_VERSION = 8

HERE = Path(__file__).resolve().parent
MODELS_DIR = HERE.parent / "models"
DATA_DIR = HERE.parent / "data"


def vary(image, random):
    """One different writing of the same digit: turn, slant and stretch about the centre, a shift, and a slow bend of the paper."""
    turn = np.deg2rad(random.uniform(-12, 12))
    slant = random.uniform(-0.3, 0.3)
    # Mostly wider than it was: people draw rounder on a screen than in the boxes of a form.
    stretch = np.diag([random.uniform(0.92, 1.1), random.uniform(0.72, 1.15)])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = rotation @ np.array([[1, 0], [slant, 1]]) @ stretch
    grid = np.indices((8, 8)).astype(float)
    centred = np.tensordot(matrix, grid - 3.5, axes=1)
    bend = ndimage.zoom(random.normal(0, 0.3, size=(2, 3, 3)), (1, 8 / 3, 8 / 3), order=1)
    shift = random.uniform(-0.4, 0.4, size=(2, 1, 1))
    moved = ndimage.map_coordinates(image, centred + 3.5 + bend + shift, order=1, mode="constant")
    # Lighter or darker ink, clipped to the range of the data.
    return np.clip(moved * random.uniform(0.8, 1.25), 0, 16)


def draw(strokes, random):
    """Inks the strokes on 32x32 dots with a pen of some width and counts the dots in squares of 4x4, as the makers of the data did."""
    y, x = np.indices((32, 32)) + 0.5
    radius = random.uniform(2.0, 3.5)
    size = np.array([random.uniform(17, 22), 32]) - 2 * radius
    ink = np.zeros((32, 32), bool)
    for stroke in strokes:
        # Nobody hits a corner twice: each is moved a little.
        corners = (np.array(stroke) - 0.5 + random.normal(0, 0.04, size=(len(stroke), 2))) * size + 16
        for a, b in zip(corners[:-1], corners[1:], strict=True):
            along = np.clip(((x - a[0]) * (b - a)[0] + (y - a[1]) * (b - a)[1]) / max(((b - a) ** 2).sum(), 1e-9), 0, 1)
            ink |= np.hypot(x - a[0] - along * (b - a)[0], y - a[1] - along * (b - a)[1]) <= radius
    return ink.reshape(8, 4, 8, 4).sum(axis=(1, 3)).astype(float)


def train(pixels, labels, hidden, penalty):
    """A fixed number of passes with a learning rate that falls to nothing along a cosine."""
    classifier = MLPClassifier(hidden, alpha=penalty, learning_rate_init=LEARNING_RATE, batch_size=128, random_state=SEED)
    for done in range(PASSES):
        classifier.partial_fit(pixels, labels, classes=np.arange(10))
        # scikit-learn has no such schedule; its Adam reads this field at every step.
        classifier._optimizer.learning_rate_init = LEARNING_RATE * (1 + np.cos(np.pi * (done + 1) / PASSES)) / 2
    return classifier


def to_onnx(name, classifier):
    """Writes the network as Gemm, Relu, ..., Gemm, Softmax: float32 [N,64] in 0..1 to probabilities [N,10]."""
    nodes, weights, value = [], [], "pixels"
    layers = list(zip(classifier.coefs_, classifier.intercepts_, strict=True))
    for index, (weight, bias) in enumerate(layers):
        weights.append(numpy_helper.from_array(weight.astype(np.float32), f"weight{index}"))
        weights.append(numpy_helper.from_array(bias.astype(np.float32), f"bias{index}"))
        last = index == len(layers) - 1
        result = "scores" if last else f"sum{index}"
        nodes.append(helper.make_node("Gemm", [value, f"weight{index}", f"bias{index}"], [result]))
        value = result
        if not last:
            value = f"hidden{index}"
            nodes.append(helper.make_node("Relu", [result], [value]))
    nodes.append(helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1))
    graph = helper.make_graph(
        nodes,
        f"digits-{name}",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 64])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])],
        initializer=weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def main():
    digits = load_digits()
    train_images, test_images, train_labels, test_labels = train_test_split(
        digits.images, digits.target, test_size=TEST_IMAGES, stratify=digits.target, random_state=SEED
    )
    random = np.random.default_rng(SEED)
    drawn = [(draw(strokes, random), digit) for digit, strokes in STYLES for _ in range(DRAWINGS_PER_STYLE)]
    originals = np.concatenate([train_images, [image for image, _ in drawn]])
    original_labels = np.concatenate([train_labels, [digit for _, digit in drawn]])
    varied = [vary(image, random) for image in originals for _ in range(VARIANTS_PER_IMAGE)]
    pixels = np.concatenate([originals, varied]).reshape(-1, 64) / 16
    labels = np.concatenate([original_labels, np.repeat(original_labels, VARIANTS_PER_IMAGE)])
    test_pixels = (test_images.reshape(-1, 64) / 16).astype(np.float32)

    MODELS_DIR.mkdir(exist_ok=True)
    DATA_DIR.mkdir(exist_ok=True)
    metrics = {
        "seed": SEED,
        "trainImages": len(train_images),
        "drawnImages": len(drawn),
        "variantsPerImage": VARIANTS_PER_IMAGE,
        "testImages": len(test_images),
        "models": {},
    }
    for name, (hidden, penalty) in MODELS.items():
        classifier = train(pixels, labels, hidden, penalty)
        content = to_onnx(name, classifier)
        (MODELS_DIR / f"{name}.onnx").write_bytes(content)

        # Measured on the written file, so that a fault of the export shows.
        session = onnxruntime.InferenceSession(content)
        (probabilities,) = session.run(["probabilities"], {"pixels": test_pixels})
        answers = probabilities.argmax(axis=1)
        assert np.abs(probabilities - classifier.predict_proba(test_pixels)).max() < 1e-4
        metrics["models"][name] = {
            "hidden": list(hidden),
            "parameters": int(sum(array.size for array in classifier.coefs_ + classifier.intercepts_)),
            "bytes": len(content),
            "testAccuracy": round(float((answers == test_labels).mean()), 4),
            "testLogLoss": round(float(-np.log(probabilities[np.arange(len(answers)), test_labels]).mean()), 4),
            "accuracyByDigit": [round(float((answers[test_labels == digit] == digit).mean()), 4) for digit in range(10)],
        }
        print(name, metrics["models"][name])
        assert metrics["models"][name]["testAccuracy"] >= 0.95, f"{name}: the accuracy is below 0.95"

    # One byte per pixel, image after image, row after row.
    test = {
        "source": "UCI Optical Recognition of Handwritten Digits (Alpaydin, Kaynak), CC BY 4.0",
        "count": len(test_images),
        "pixels": base64.b64encode(test_images.astype(np.uint8).tobytes()).decode(),
        "labels": test_labels.tolist(),
    }
    (DATA_DIR / "test.json").write_text(json.dumps(test, separators=(",", ":")) + "\n")
    (MODELS_DIR / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""libhemline from Python, through ctypes: one file, nothing to build, nothing to install besides the library.

    with hemline.Store("shop.store") as store:
        for hit in store.photo("street.jpg", k=5).hits:
            print(hit.item_id, hit.path, hit.distance)

    python3 hemline.py STORE PHOTO... | --item ID... | --vector FILE

The library is $HEMLINE_LIBRARY, or the installed libhemline.so. A Store belongs to one thread at a time; several Stores of
one folder share its vectors in memory. Vectors are numpy arrays, array.array("f"), or any sequence of numbers.
"""
import array
import collections
import ctypes as c
import ctypes.util
import os
import sys

Hit = collections.namedtuple("Hit", "item_id category path label row distance score probability place")
Answer = collections.namedtuple("Answer", "hits wanted no_match threshold scored gallery seconds")


class HemlineError(Exception):
    """What the library says of a call that failed; `code` is a hem_status, such as 4: not found."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


# ---- include/hemline.h, as far as it is used here ----

class _Error(c.Structure):
    _fields_ = [("code", c.c_int), ("message", c.c_char * 512)]


class _Certificate(c.Structure):
    _fields_ = [("overlap", c.c_double), ("low", c.c_double), ("high", c.c_double), ("queries", c.c_uint64),
                ("k", c.c_uint32)]


class _Info(c.Structure):
    _fields_ = [("generation", c.c_char_p), ("space", c.c_char_p), ("space_hash", c.c_char_p),
                ("features", c.c_char_p), ("catalog", c.c_char_p), ("dim", c.c_size_t), ("distance", c.c_int),
                ("photos", c.c_uint64), ("items", c.c_uint64), ("category_count", c.c_size_t), ("metric", c.c_bool),
                ("metric_about", c.c_char_p), ("kernel", c.c_char_p), ("false_accept", c.c_double),
                ("certificate", _Certificate), ("reserved", c.c_uint64 * 8)]


class _SearchOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("k", c.c_size_t), ("categories", c.POINTER(c.c_char_p)),
                ("category_count", c.c_size_t), ("exact", c.c_bool), ("photos", c.c_bool), ("leave_out", c.c_bool),
                ("leave_out_row", c.c_uint64), ("plain", c.c_bool), ("rerank", c.c_uint32),
                ("min_probability", c.c_double), ("labels", c.POINTER(c.c_char_p)), ("label_count", c.c_size_t)]


class _Hit(c.Structure):
    _fields_ = [("item_id", c.c_char_p), ("category", c.c_char_p), ("path", c.c_char_p), ("label", c.c_char_p),
                ("row", c.c_uint64), ("distance", c.c_float), ("score", c.c_float), ("probability", c.c_float),
                ("place", c.c_uint32), ("reserved", c.c_uint64 * 1)]


class _Answer(c.Structure):
    _fields_ = [("hits", c.POINTER(_Hit)), ("found", c.c_size_t), ("wanted", c.c_size_t), ("shortfall", c.c_int),
                ("categories", c.c_size_t), ("fallbacks", c.c_size_t), ("gallery", c.c_uint64),
                ("scored", c.c_uint64), ("no_match", c.c_bool), ("threshold", c.c_double),
                ("candidates_ns", c.c_uint64), ("rerank_ns", c.c_uint64), ("reserved", c.c_uint64 * 4)]


class _Box(c.Structure):
    _fields_ = [("x", c.c_double), ("y", c.c_double), ("width", c.c_double), ("height", c.c_double),
                ("parts", c.c_bool)]


_FLOATS, _ERROR = c.POINTER(c.c_float), c.POINTER(_Error)
_OPTIONS, _ANSWER = c.POINTER(_SearchOptions), c.POINTER(_Answer)
_FUNCTIONS = {
    "hem_engine_open": (c.c_int, [c.c_char_p, c.c_void_p, c.POINTER(c.c_void_p), _ERROR]),
    "hem_engine_close": (None, [c.c_void_p]),
    "hem_engine_info_get": (None, [c.c_void_p, c.POINTER(_Info)]),
    "hem_searcher_new": (c.c_int, [c.c_void_p, c.POINTER(c.c_void_p), _ERROR]),
    "hem_searcher_free": (None, [c.c_void_p]),
    "hem_search": (c.c_int, [c.c_void_p, _FLOATS, c.c_size_t, _OPTIONS, _ANSWER, _ERROR]),
    "hem_search_item": (c.c_int, [c.c_void_p, c.c_char_p, _OPTIONS, _ANSWER, _ERROR]),
    "hem_embedder_new": (c.c_int, [c.c_char_p, c.POINTER(c.c_void_p), _ERROR]),
    "hem_embedder_free": (None, [c.c_void_p]),
    "hem_embedder_hash": (c.c_char_p, [c.c_void_p]),
    "hem_embedder_bytes": (c.c_int, [c.c_void_p, c.c_char_p, c.c_size_t, c.c_char_p, c.POINTER(_Box), _FLOATS, _ERROR]),
}


def _load():
    library = c.CDLL(os.environ.get("HEMLINE_LIBRARY") or c.util.find_library("hemline") or "libhemline.so.0")
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _load()


def _call(name, *arguments):
    error = _Error()
    if getattr(_library, name)(*arguments, c.byref(error)):
        raise HemlineError(error.code, error.message.decode("utf-8", "replace"))


def _text(value):
    return value.decode("utf-8", "replace")


def _names(names):
    names = [name.encode("utf-8") for name in names or ()]
    return (c.c_char_p * len(names))(*names), len(names)


def _floats(vector):
    """(pointer to float32, how many, what must stay alive meanwhile). A float32 buffer is taken as it lies."""
    try:
        view = memoryview(vector)
        fits = view.format in ("f", "<f") and view.c_contiguous
    except TypeError:
        fits = False
    if not fits:
        vector = array.array("f", vector)
        view = memoryview(vector)
    # A read-only buffer has no from_buffer: it is copied.
    kind = c.c_float * (view.nbytes // 4)
    kept = kind.from_buffer_copy(view) if view.readonly else kind.from_buffer(vector)
    return c.cast(kept, _FLOATS), view.nbytes // 4, kept


class Store:
    """A store, opened: its current generation, until it is closed."""

    def __init__(self, folder):
        self._engine, self._searcher, self._embedder = c.c_void_p(), c.c_void_p(), c.c_void_p()
        _call("hem_engine_open", os.fsencode(folder), None, c.byref(self._engine))
        self.info = _Info()
        _library.hem_engine_info_get(self._engine, c.byref(self.info))
        _call("hem_searcher_new", self._engine, c.byref(self._searcher))

    def close(self):
        _library.hem_embedder_free(self._embedder)
        _library.hem_searcher_free(self._searcher)
        _library.hem_engine_close(self._engine)
        self._engine, self._searcher, self._embedder = c.c_void_p(), c.c_void_p(), c.c_void_p()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def vector(self, vector, **options):
        """The items nearest to a vector of the store's space. Options are those of hem_search_options."""
        at, count, _kept = _floats(vector)
        return self._ask("hem_search", at, count, options=options)

    def item(self, item_id, **options):
        """What else in the shop is like this item?"""
        return self._ask("hem_search_item", item_id.encode("utf-8"), options=options)

    def photo(self, photo, box=None, **options):
        """The items that a photo may show: a path, or the bytes of the file. box: x, y, width, height, in pixels."""
        return self.vector(self.embed(photo, box), **options)

    def embed(self, photo, box=None):
        """A photo as a vector of the store's space."""
        name = b"the photo" if isinstance(photo, bytes) else os.fsencode(photo)
        if not isinstance(photo, bytes):
            with open(photo, "rb") as file:
                photo = file.read()
        if not self._embedder:
            made = c.c_void_p()
            _call("hem_embedder_new", self.info.features, c.byref(made))
            self._embedder = made
            if _library.hem_embedder_hash(made) != self.info.space_hash:
                raise HemlineError(9, "this Hemline embeds otherwise than the store was: index it again")
        out = (c.c_float * self.info.dim)()
        part = c.byref(_Box(*box)) if box else None
        _call("hem_embedder_bytes", self._embedder, photo, len(photo), name, part, out)
        return out

    def _ask(self, function, *question, options):
        if not self._searcher:
            raise HemlineError(1, "the store is closed")
        o, answer = _SearchOptions(size=c.sizeof(_SearchOptions)), _Answer()
        o.categories, o.category_count = _names(options.pop("categories", None))
        o.labels, o.label_count = _names(options.pop("labels", None))
        for name, value in options.items():
            if name not in dict(_SearchOptions._fields_):
                raise TypeError(f"there is no option {name!r}")
            setattr(o, name, value)
        _call(function, self._searcher, *question, c.byref(o), c.byref(answer))
        hits = [Hit(_text(h.item_id), _text(h.category), _text(h.path), _text(h.label), h.row, h.distance, h.score,
                    h.probability, h.place) for h in answer.hits[:answer.found]]
        return Answer(hits, answer.wanted, answer.no_match, answer.threshold, answer.scored, answer.gallery,
                      (answer.candidates_ns + answer.rerank_ns) / 1e9)


def main(arguments):
    if len(arguments) < 2 or (arguments[1] in ("--item", "--vector") and len(arguments) < 3):
        sys.exit(__doc__.split("\n\n")[2].strip())
    kind = arguments[1] if arguments[1].startswith("--") else None
    with Store(arguments[0]) as store:
        for question in arguments[2 if kind else 1:]:
            if kind == "--item":
                answer = store.item(question, k=5)
            elif kind == "--vector":
                with open(question, "rb") as file:
                    answer = store.vector(array.array("f", file.read()), k=5)
            else:
                answer = store.photo(question, k=5)
            print(f"{question}: {len(answer.hits)} of {answer.wanted}, {answer.seconds * 1e3:.3f} ms"
                  + (", no match" if answer.no_match else ""))
            for place, hit in enumerate(answer.hits, 1):
                print(f"  {place:2}  {hit.item_id:24} {hit.category:12} {hit.distance:10.5g}  {hit.path}"
                      + (f"  p = {hit.probability:.2f}" if answer.scored else ""))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (HemlineError, OSError) as error:
        sys.exit(f"hemline: {error}")

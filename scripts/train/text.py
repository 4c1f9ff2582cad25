"""The captions' vocabulary as a Unigram tokenizer, also written out as a tokenizer.json."""
import json
import captions

PAD, EOS, UNK = 0, 1, 2


def pieces():
    """(piece, log-probability) in id order: specials, words, single characters as a fallback."""
    chars = list("▁abcdefghijklmnopqrstuvwxyz0123456789,.!?'-")
    return (
        [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
        + [("▁" + w, -3.0) for w in sorted(captions.words())]
        + [(c, -12.0) for c in chars]
    )


class Tokenizer:
    def __init__(self):
        self.ids = {p: i for i, (p, _) in enumerate(pieces())}

    def __len__(self):
        return len(self.ids)

    def __call__(self, text):
        out = []
        for word in text.lower().replace(",", " ,").split():
            if word == ",":
                out.append(self.ids[","])
            elif "▁" + word in self.ids:
                out.append(self.ids["▁" + word])
            else:
                out += [self.ids["▁"]] + [self.ids.get(c, UNK) for c in word]
        return out + [EOS]

    def write(self, path):
        special = [
            dict(
                id=i,
                content=p,
                special=True,
                single_word=False,
                lstrip=False,
                rstrip=False,
                normalized=False,
            )
            for i, (p, _) in enumerate(pieces()[:3])
        ]
        json.dump(
            {
                "version": "1.0",
                "added_tokens": special,
                "normalizer": {"type": "Lowercase"},
                "pre_tokenizer": {
                    "type": "Metaspace",
                    "replacement": "▁",
                    "prepend_scheme": "always",
                    "split": True,
                },
                "post_processor": {
                    "type": "TemplateProcessing",
                    "single": [
                        {"Sequence": {"id": "A", "type_id": 0}},
                        {"SpecialToken": {"id": "</s>", "type_id": 0}},
                    ],
                    "pair": [],
                    "special_tokens": {"</s>": {"id": "</s>", "ids": [EOS], "tokens": ["</s>"]}},
                },
                "decoder": {
                    "type": "Metaspace",
                    "replacement": "▁",
                    "prepend_scheme": "always",
                    "split": True,
                },
                "model": {
                    "type": "Unigram",
                    "unk_id": UNK,
                    "vocab": [list(p) for p in pieces()],
                    "byte_fallback": False,
                },
            },
            open(path, "w"),
            ensure_ascii=False,
            indent=1,
        )

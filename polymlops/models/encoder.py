"""The sentence encoder behind semantic distances: a real sentence-transformers model that trains in a second.

Token vectors are a latent semantic analysis of the corpus (idf-weighted token-by-document counts, truncated SVD),
served by `StaticEmbedding`: the mean of a text's token vectors. Wording that the corpus uses in the same texts lies
together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedTokenizerFast

DIMENSIONS = 64


def train_encoder(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, seed: int) -> SentenceTransformer:
    """Fit token vectors on `texts` and wrap them, with unit-length output, as a SentenceTransformer."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    vectors_VD = _token_vectors(texts, tokenizer, seed)
    static = StaticEmbedding(tokenizer.backend_tokenizer, embedding_weights=vectors_VD)
    return SentenceTransformer(modules=[static, Normalize()], device="cpu")


def _token_vectors(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, seed: int) -> NDArray[np.float32]:
    from scipy.sparse import csr_matrix, diags
    from scipy.sparse.linalg import svds

    encoded = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    rows = np.repeat(np.arange(len(encoded)), [len(ids) for ids in encoded])
    columns = np.concatenate([np.asarray(ids, dtype=np.int64) for ids in encoded])
    counts_NV: Any = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(encoded), len(tokenizer)))
    document_frequency_V = np.asarray((counts_NV > 0).sum(axis=0)).ravel()
    idf_V = np.log((1 + len(encoded)) / (1 + document_frequency_V))
    start = np.random.default_rng(seed).normal(size=min(counts_NV.shape))
    dimensions = min(DIMENSIONS, min(counts_NV.shape) - 1)
    _, scale_D, right_DV = svds(counts_NV @ diags(idf_V), k=dimensions, v0=start)
    # Scaled by the root of the singular values: the leading ones carry frequency more than meaning.
    return np.ascontiguousarray(right_DV.T * idf_V[:, None] / np.sqrt(scale_D)[None, :], dtype=np.float32)


def load_encoder(folder: Path | str) -> SentenceTransformer:
    """Load an encoder from a folder that `save_pretrained` wrote or that refers to one, or by hub id, on the CPU."""
    from sentence_transformers import SentenceTransformer

    from polymlops.models.references import encoder_folder

    return SentenceTransformer(str(encoder_folder(Path(folder))), device="cpu")


def embed(encoder: SentenceTransformer, texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors of the texts, shape (K, D); an empty text has the zero vector."""
    if not texts:
        return np.zeros((0, encoder.get_sentence_embedding_dimension() or 0), dtype=np.float32)
    return encoder.encode(list(texts), batch_size=1024, show_progress_bar=False, convert_to_numpy=True)

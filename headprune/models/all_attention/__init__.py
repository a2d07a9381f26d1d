"""The All-Attention language model, `--arch all_attention_lm`."""

from headprune.models.all_attention.architecture import AllAttentionConfig
from headprune.models.all_attention.attention import AllAttention
from headprune.models.all_attention.decoder import standing_still
from headprune.models.all_attention.model import AllAttentionLanguageModel

__all__ = ["AllAttention", "AllAttentionConfig", "AllAttentionLanguageModel", "standing_still"]

"""Names of the CPU features that a compiler makes use of, from its predefined macros."""

from __future__ import annotations

__all__ = ["FEATURES", "features_of"]

# Macro -> the feature's name in /proc/cpuinfo, except where that is less well known.
FEATURES = {
    "__SSE2__": "sse2",
    "__SSE3__": "sse3",
    "__SSSE3__": "ssse3",
    "__SSE4_1__": "sse4_1",
    "__SSE4_2__": "sse4_2",
    "__AVX__": "avx",
    "__AVX2__": "avx2",
    "__FMA__": "fma",
    "__F16C__": "f16c",
    "__BMI2__": "bmi2",
    "__AVXVNNI__": "avx_vnni",
    "__AVX512F__": "avx512f",
    "__AVX512BW__": "avx512bw",
    "__AVX512CD__": "avx512cd",
    "__AVX512DQ__": "avx512dq",
    "__AVX512VL__": "avx512vl",
    "__AVX512BF16__": "avx512_bf16",
    "__AVX512FP16__": "avx512_fp16",
    "__AVX512VNNI__": "avx512_vnni",
    "__AVX10_1__": "avx10_1",
    "__AVX10_2__": "avx10_2",
    "__AMX_TILE__": "amx_tile",
    "__AMX_BF16__": "amx_bf16",
    "__AMX_FP16__": "amx_fp16",
    "__AMX_INT8__": "amx_int8",
    "__ARM_NEON": "neon",
    "__ARM_FEATURE_FMA": "fma",
    "__ARM_FEATURE_FP16_VECTOR_ARITHMETIC": "fp16",
    "__ARM_FEATURE_BF16_VECTOR_ARITHMETIC": "bf16",
    "__ARM_FEATURE_DOTPROD": "dotprod",
    "__ARM_FEATURE_MATMUL_INT8": "i8mm",
    "__ARM_FEATURE_SVE": "sve",
    "__ARM_FEATURE_SVE2": "sve2",
    "__ARM_FEATURE_SME": "sme",
    "__ALTIVEC__": "altivec",
    "__VSX__": "vsx",
    "__riscv_vector": "rvv",
}


def features_of(macros: str) -> tuple[str, ...]:
    """Names of the features in the output of ``-dM -E``, in the order of `FEATURES`.

    >>> features_of("#define __FMA__ 1")
    ('fma',)
    """
    lines = (line.split(maxsplit=2) for line in macros.splitlines())
    defined = {words[1] for words in lines if len(words) > 1}
    return tuple(name for macro, name in FEATURES.items() if macro in defined)

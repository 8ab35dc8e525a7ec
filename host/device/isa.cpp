#include "device/isa.hpp"

#include <cstdlib>
#include <string_view>

#include "base/throw_error.hpp"

namespace plasticity::cpu {
namespace {

Isa best() {
#if PLASTICITY_X86
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl")) {
    return Isa::avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
#endif
  return Isa::baseline;
}

}  // namespace

const char* to_string(Isa isa) {
  switch (isa) {
    case Isa::baseline: return "baseline";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
  }
  return "(no such value)";
}

Isa instruction_set() {
  static const Isa chosen = [] {
    const char* value = std::getenv("PLASTICITY_ISA");
    if (value == nullptr || *value == '\0') return best();
    for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
      if (std::string_view(value) != to_string(isa)) continue;
      if (isa > best())
        bad_argument("PLASTICITY_ISA", str_cat("at most ", to_string(best()), " on this machine"), value);
      return isa;
    }
    bad_argument("PLASTICITY_ISA", "baseline, avx2 or avx512", str_cat('\'', value, '\''));
  }();
  return chosen;
}

}  // namespace plasticity::cpu

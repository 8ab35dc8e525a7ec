#include "cuda/alternatives.hpp"

#include <cstdlib>
#include <string_view>

#include "base/throw_error.hpp"
#include "common/alternatives.hpp"

namespace plasticity::cuda {

bool build_has_alternatives() { return has_alternatives; }

Arrival chosen_arrival() {
  constexpr const char* name = "PLASTICITY_ARRIVAL";
  const char* const value = std::getenv(name);
  const std::string_view chosen = value == nullptr ? "" : value;
  if (chosen.empty() || chosen == "barrier") return Arrival::barrier;
  if (chosen != "counted")
    throw_error(ErrorCode::invalid_argument, name, "barrier or counted", std::string(chosen));
  if (!has_alternatives)
    throw_error(ErrorCode::unsupported, name, "a build with -DPLASTICITY_TUNING=ON", std::string(chosen));
  return Arrival::counted;
}

}  // namespace plasticity::cuda

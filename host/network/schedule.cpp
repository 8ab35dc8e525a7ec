#include "plasticity/schedule.hpp"

#include <cmath>
#include <numbers>

#include "base/throw_error.hpp"

namespace plasticity {

double Schedule::at(std::int64_t step) const {
  const auto check = [](const char* name, auto value, bool legal, const char* expected) {
    if (!legal || !std::isfinite(static_cast<double>(value))) bad_argument(name, expected, str_cat(value));
  };
  check("step", step, step >= 0, "at least 0");
  check("schedule.learning_rate", learning_rate, learning_rate >= 0, "a finite value of at least 0");
  check("schedule.warm_up", warm_up, warm_up >= 0, "at least 0");
  if (decay < Decay::constant || decay > Decay::step)
    bad_argument("schedule.decay", "a value of its enumeration", str_cat(static_cast<int>(decay)));
  if (decay == Decay::cosine) {
    check("schedule.steps", steps, steps > warm_up, "more steps than the warm-up has");
    check("schedule.final_learning_rate", final_learning_rate, final_learning_rate >= 0,
          "a finite value of at least 0");
  }
  if (decay == Decay::step) {
    check("schedule.interval", interval, interval >= 1, "at least 1");
    check("schedule.factor", factor, factor > 0, "a finite value above 0");
  }

  const auto rate_at_step = [&] {
    if (step < warm_up) return learning_rate * static_cast<double>(step + 1) / static_cast<double>(warm_up);
    const std::int64_t after = step - warm_up;
    if (decay == Decay::constant) return learning_rate;
    const std::int64_t changes = decay == Decay::step ? after / interval : 0;
    if (decay == Decay::step) return learning_rate * std::pow(factor, static_cast<double>(changes));
    if (step >= steps) return final_learning_rate;
    const double part = static_cast<double>(after) / static_cast<double>(steps - warm_up);
    return final_learning_rate +
           (learning_rate - final_learning_rate) * (1 + std::cos(std::numbers::pi * part)) / 2;
  };
  const double result = rate_at_step();
  if (!std::isfinite(result))
    bad_argument("schedule", str_cat("a finite learning rate at step ", step), str_cat(result));
  return result;
}

}  // namespace plasticity

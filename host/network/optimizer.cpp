#include "plasticity/optimizer.hpp"

#include <charconv>
#include <cmath>
#include <set>

#include "fail.hpp"
#include "range.hpp"

namespace plasticity {
namespace {

void check_range(const char* name, double value, bool legal, const char* expected) {
  if (!legal || !std::isfinite(value)) bad_argument(name, expected, text(value));
}

void check_learning_rate(double value) {
  check_range("learning_rate", value, value >= 0, "a finite value of at least 0");
}

}  // namespace

Adam::Adam(const AdamOptions& options) : options_(options) {
  check_learning_rate(options.learning_rate);
  check_range("beta1", options.beta1, options.beta1 >= 0 && options.beta1 < 1, "a value in [0, 1)");
  check_range("beta2", options.beta2, options.beta2 >= 0 && options.beta2 < 1, "a value in [0, 1)");
  check_range("epsilon", options.epsilon, options.epsilon > 0, "a finite value above 0");
}

void Adam::set_learning_rate(double learning_rate) {
  check_learning_rate(learning_rate);
  options_.learning_rate = learning_rate;
}

void Adam::step(std::span<const ParameterView> parameters) {
  const Range range("plasticity::Adam::step");
  std::set<std::string> seen;
  for (const ParameterView& parameter : parameters) {
    const std::string argument = text("parameter '", parameter.name, "'");
    if (!seen.insert(parameter.name).second) bad_argument(argument, "once", "twice");
    if (parameter.gradient.size() != parameter.value.size()) {
      bad_argument(argument, text("a gradient of ", parameter.value.size(), " elements"),
                   text(parameter.gradient.size()));
    }
    const auto found = moments_.find(parameter.name);
    if (found != moments_.end() && found->second.first.size() != parameter.value.size()) {
      bad_argument(argument, text(found->second.first.size(), " elements as in the steps before"),
                   text(parameter.value.size()));
    }
  }
  ++steps_;
  const auto correction = [&](double beta) { return 1 - std::pow(beta, static_cast<double>(steps_)); };
  const auto scale = static_cast<float>(options_.learning_rate / correction(options_.beta1));
  const auto second_scale = static_cast<float>(1 / std::sqrt(correction(options_.beta2)));
  const auto beta1 = static_cast<float>(options_.beta1), beta2 = static_cast<float>(options_.beta2);
  const auto epsilon = static_cast<float>(options_.epsilon);
  for (const ParameterView& parameter : parameters) {
    Moments& moments = moments_[parameter.name];
    moments.first.resize(parameter.value.size());
    moments.second.resize(parameter.value.size());
    for (std::size_t k = 0; k < parameter.value.size(); ++k) {
      const float gradient = parameter.gradient[k];
      float &first = moments.first[k], &second = moments.second[k];
      first += (1 - beta1) * (gradient - first);
      second += (1 - beta2) * (gradient * gradient - second);
      parameter.value[k] -= scale * first / (std::sqrt(second) * second_scale + epsilon);
    }
  }
}

void Adam::save(io::TensorFile& file) const {
  for (const auto& [name, moments] : moments_) {
    const auto size = static_cast<std::int64_t>(moments.first.size());
    file.tensors["adam." + name + ".m"] = io::make_tensor({size}, std::span<const float>(moments.first));
    file.tensors["adam." + name + ".v"] = io::make_tensor({size}, std::span<const float>(moments.second));
  }
  file.metadata["adam.steps"] = std::to_string(steps_);
}

void Adam::load(const io::TensorFile& file) {
  const auto found = file.metadata.find("adam.steps");
  if (found == file.metadata.end()) fail(ErrorCode::format, file.source, "metadata 'adam.steps'", "none");
  const std::string& value = found->second;
  std::int64_t steps = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), steps);
  if (error != std::errc() || end != value.data() + value.size() || steps < 0) {
    fail(ErrorCode::format, text(file.source, " metadata 'adam.steps'"), "a number of steps",
         text('\'', value, '\''));
  }
  std::map<std::string, Moments> moments;
  for (const auto& [key, tensor] : file.tensors) {
    if (!key.starts_with("adam.") || !key.ends_with(".m")) continue;
    const std::string name = key.substr(5, key.size() - 7);
    Moments& pair = moments[name];
    pair.first = io::to_floats(tensor);
    pair.second = io::to_floats(file.at("adam." + name + ".v"));
    if (pair.first.size() != pair.second.size()) {
      fail(ErrorCode::format, text(file.source, " tensor 'adam.", name, ".v'"),
           text(pair.first.size(), " elements"), text(pair.second.size()));
    }
  }
  moments_ = std::move(moments);
  steps_ = steps;
}

double clip_gradients(std::span<const ParameterView> parameters, double most) {
  if (!(most > 0)) bad_argument("most", "a norm above 0", text(most));
  double squares = 0;
  for (const ParameterView& parameter : parameters) {
    for (const float gradient : parameter.gradient) squares += static_cast<double>(gradient) * gradient;
  }
  const double norm = std::sqrt(squares);
  if (norm > most) {
    const auto factor = static_cast<float>(most / norm);
    for (const ParameterView& parameter : parameters) {
      for (float& gradient : parameter.gradient) gradient *= factor;
    }
  }
  return norm;
}

}  // namespace plasticity

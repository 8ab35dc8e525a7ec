#include "case_tensors.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace plasticity::bench {
namespace {

constexpr double min_norm = 1e-3;  // errors of tensors with a smaller norm are absolute

/// Above the rounding of float sums over a few thousand terms, far below the effect of a mistake. A bfloat16
/// trace has 8 bits.
double tolerance_of(Precision precision) {
  switch (precision) {
    case Precision::f64: return 1e-10;
    case Precision::f32: return 1e-4;
    case Precision::bf16: return 3e-2;
  }
  return 0;
}

std::uint32_t seed_of(const std::string& name) {
  std::uint32_t seed = 2166136261u;
  for (const char letter : name) seed = (seed ^ static_cast<unsigned char>(letter)) * 16777619u;
  return seed;
}

/// The same scales as `plasticity time` and the peers use.
double scale_of(const std::string& name, const Spec& spec) {
  if (name == "param.eta" || name == "input.rate") return .1;
  return name.starts_with("param.") ? 1 / std::sqrt(static_cast<double>(spec.neurons)) : 1;
}

/// Calls `call(first, count)` for each run of consecutive entries of one batch element.
template <class Call>
void for_each_run(const Tensor& tensor, Call call) {
  std::int64_t inner = 1, outer = 1;
  for (int axis = 0; axis < tensor.shape.rank; ++axis) {
    if (axis > tensor.batch_axis) inner *= tensor.shape.size[static_cast<std::size_t>(axis)];
    if (axis < tensor.batch_axis) outer *= tensor.shape.size[static_cast<std::size_t>(axis)];
  }
  const std::int64_t batch = tensor.shape.size[static_cast<std::size_t>(tensor.batch_axis)];
  for (std::int64_t k = 0; k < outer; ++k) {
    for (std::int64_t b = 0; b < batch; ++b) call(b, (k * batch + b) * inner, inner);
  }
}

}  // namespace

template <class Real>
CaseTensors<Real>::CaseTensors(const Case& c, std::int64_t steps, Device device)
    : case_(c), steps_(steps), device_(device) {
  make_tensors();
  for (auto& [name, tensor] : tensors_) {
    if (!name.starts_with("param.") && !name.starts_with("input.") && name != "dy") continue;
    std::mt19937 random(seed_of(name));
    const double scale = scale_of(name, c.spec);
    std::vector<Real> values(static_cast<std::size_t>(tensor.elements));
    for (Real& value : values)
      value = static_cast<Real>(static_cast<float>(scale * (static_cast<double>(random()) * 0x1p-31 - 1)));
    set(name, values);
  }
}

template <class Real>
template <class Other>
CaseTensors<Real>::CaseTensors(const CaseTensors<Other>& whole, std::span<const std::int64_t> picked)
    : case_(whole.its_case()), steps_(whole.steps()), device_(Device::cpu(1)) {
  case_.batch = static_cast<std::int64_t>(picked.size());
  make_tensors();
  for (auto& [name, tensor] : tensors_) {
    if (!name.starts_with("param.") && !name.starts_with("input.") && name != "dy") continue;
    const std::vector<double> some = gather(whole.values(name), whole.tensors().at(name), picked);
    set(name, std::vector<Real>(some.begin(), some.end()));
  }
}

template <class Real>
void CaseTensors<Real>::make_tensors() {
  const Spec& spec = case_.spec;
  const std::int64_t T = steps_, B = case_.batch, N = spec.neurons;
  for (const auto& member : Parameters<const Real>::members()) {
    const auto shape = parameter_shape(spec, member.name);
    if (shape) forward.parameters.*member.pointer = make("param." + std::string(member.name), *shape, -1);
  }
  for (const auto& member : Parameters<Real>::members()) {
    const auto shape = parameter_shape(spec, member.name);
    if (shape) backward.dparameters.*member.pointer = make("grad." + std::string(member.name), *shape, -1);
  }
  for (const auto& member : Inputs<const Real>::members()) {
    const auto shape = input_shape(spec, T, B, member.name);
    if (member.name == "u" && forward.inputs.x != nullptr) continue;  // the peers have x or u
    if (shape) forward.inputs.*member.pointer = make("input." + std::string(member.name), *shape, 1);
  }
  for (const auto& member : Inputs<Real>::members()) {
    const auto shape = input_shape(spec, T, B, member.name);
    if (member.name == "u" && forward.inputs.x != nullptr) continue;
    if (shape) backward.dinputs.*member.pointer = make("grad." + std::string(member.name), *shape, 1);
  }
  for (const auto& member : State<Real>::members()) {
    const auto shape = state_shape(spec, B, member.name);
    if (!shape) continue;
    const std::string name(member.name);
    forward.final_state.*member.pointer = make("final." + name, *shape, 0);
    backward.dinitial_state.*member.pointer = make("grad." + name + "0", *shape, 0);
  }
  forward.y = make("y", {{T, B, N}, 3}, 1);
  if (spec.has_modulator()) forward.modulation = make("modulation", {{T, B}, 2}, 1);
  backward.dy = make("dy", {{T, B, N}, 3}, 1);
  backward.parameters = forward.parameters;
  backward.inputs = forward.inputs;
}

template <class Real>
Real* CaseTensors<Real>::make(const std::string& name, Shape shape, int batch_axis) {
  const std::int64_t elements = shape.elements();
  const std::size_t bytes = static_cast<std::size_t>(elements) * sizeof(Real);
  Tensor& tensor = tensors_[name] = {elements, shape, batch_axis, DeviceMemory(device_, bytes)};
  fill_zero(device_, {}, tensor.memory.data(), bytes);
  return static_cast<Real*>(tensor.memory.data());
}

template <class Real>
std::vector<Real> CaseTensors<Real>::values(const std::string& name) const {
  const Tensor& tensor = tensors_.at(name);
  std::vector<Real> values(static_cast<std::size_t>(tensor.elements));
  copy(device_, {}, values.data(), tensor.memory.data(), values.size() * sizeof(Real));
  return values;
}

template <class Real>
void CaseTensors<Real>::set(const std::string& name, std::span<const Real> values) {
  copy(device_, {}, tensors_.at(name).memory.data(), values.data(), values.size() * sizeof(Real));
}

template <class Real>
void CaseTensors<Real>::mute_all_but(std::span<const std::int64_t> picked) {
  std::vector<Real> dy = values("dy");
  for_each_run(tensors_.at("dy"), [&](std::int64_t b, std::int64_t first, std::int64_t count) {
    if (std::find(picked.begin(), picked.end(), b) == picked.end())
      std::fill_n(dy.begin() + first, count, Real(0));
  });
  set("dy", dy);
}

template <class Real>
std::vector<double> gather(const std::vector<Real>& values, const Tensor& tensor,
                           std::span<const std::int64_t> picked) {
  if (tensor.batch_axis < 0) return {values.begin(), values.end()};
  std::vector<double> some;
  for_each_run(tensor, [&](std::int64_t b, std::int64_t first, std::int64_t count) {
    if (std::find(picked.begin(), picked.end(), b) != picked.end())
      some.insert(some.end(), values.begin() + first, values.begin() + first + count);
  });
  return some;
}

double difference(std::span<const double> got, std::span<const double> want) {
  double error = 0, norm = 0;
  for (std::size_t k = 0; k < want.size(); ++k) {
    error += (got[k] - want[k]) * (got[k] - want[k]);
    norm += want[k] * want[k];
  }
  const double result = std::sqrt(error) / std::max(std::sqrt(norm), min_norm);
  return std::isfinite(result) ? result : std::numeric_limits<double>::infinity();
}

template <class Real>
Check compare(const CaseTensors<Real>& ran, std::span<const std::int64_t> picked,
              std::span<const std::string> prefixes) {
  const Case& c = ran.its_case();
  CaseTensors<double> oracle(ran, picked);
  const auto batch = static_cast<std::int64_t>(picked.size());
  reference::forward(c.spec, ran.steps(), batch, oracle.forward);
  reference::backward(c.spec, ran.steps(), batch, oracle.backward);
  Check worst{-1, "(none)", tolerance_of(c.precision)};
  for (const auto& [name, tensor] : ran.tensors()) {
    if (std::none_of(prefixes.begin(), prefixes.end(),
                     [&name = name](const auto& p) { return name.starts_with(p); }))
      continue;
    const double error = difference(gather(ran.values(name), tensor, picked), oracle.values(name));
    if (error > worst.error) worst = {error, name, worst.tolerance};
  }
  return worst;
}

std::vector<std::int64_t> checked_elements(std::int64_t batch) {
  if (batch == 1) return {0};
  return {0, batch - 1};
}

template class CaseTensors<float>;
template class CaseTensors<double>;
template CaseTensors<double>::CaseTensors(const CaseTensors<float>&, std::span<const std::int64_t>);
template CaseTensors<double>::CaseTensors(const CaseTensors<double>&, std::span<const std::int64_t>);
template std::vector<double> gather(const std::vector<float>&, const Tensor&, std::span<const std::int64_t>);
template std::vector<double> gather(const std::vector<double>&, const Tensor&, std::span<const std::int64_t>);
template Check compare(const CaseTensors<float>&, std::span<const std::int64_t>,
                       std::span<const std::string>);
template Check compare(const CaseTensors<double>&, std::span<const std::int64_t>,
                       std::span<const std::string>);

}  // namespace plasticity::bench

#include "network/parameters.hpp"

#include <algorithm>
#include <cmath>

#include "fail.hpp"
#include "random.hpp"

namespace plasticity {
namespace {

void initialise(Parameter& parameter, const Spec& spec, Random random) {
  const std::string_view name = parameter.name;
  const auto bound = [](std::int64_t size) {
    return 1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(size, 1)));
  };
  const auto uniform = [&](double limit) {
    for (float& value : parameter.value) value = static_cast<float>(random.uniform(-limit, limit));
  };
  const auto normal = [&](double deviation) {
    for (float& value : parameter.value) value = static_cast<float>(deviation * random.normal());
  };
  const bool dense = name == "w" || name == "w_gates" || name == "w_in" || name == "b";
  if ((spec.cell == Cell::lstm && dense) || name.starts_with("modulator")) {
    uniform(bound(spec.neurons));
  } else if (name == "w" || name == "alpha") {
    normal(.01);
  } else if (name == "eta") {
    parameter.value[0] = .01f;
  } else if (name.starts_with("fan_out")) {
    uniform(1);
  } else {
    uniform(bound(spec.inputs));
  }
}

std::vector<std::int64_t> dimensions(const Shape& shape) {
  return {shape.size.begin(), shape.size.begin() + shape.rank};
}

}  // namespace

std::vector<Parameter> initial_parameters(const Spec& spec, std::uint64_t seed) {
  constexpr auto members = Parameters<float>::members();
  constexpr auto const_members = Parameters<const float>::members();
  std::vector<Parameter> parameters;
  for (std::size_t k = 0; k < members.size(); ++k) {
    const std::optional<Shape> shape = parameter_shape(spec, members[k].name);
    if (!shape) continue;
    const auto size = static_cast<std::size_t>(shape->elements());
    const std::uint64_t stream = parameters.size();
    parameters.push_back({members[k].name, *shape, const_members[k].pointer, members[k].pointer,
                          std::vector<float>(size), std::vector<float>(size)});
    initialise(parameters.back(), spec, Random(seed, stream));
  }
  return parameters;
}

void save_parameters(const std::vector<Parameter>& parameters, io::TensorFile& file) {
  for (const Parameter& parameter : parameters) {
    file.tensors[text("param.", parameter.name)] =
        io::make_tensor(dimensions(parameter.shape), std::span<const float>(parameter.value));
  }
}

void load_parameters(std::vector<Parameter>& parameters, const io::TensorFile& file) {
  std::vector<std::vector<float>> values;
  for (const Parameter& parameter : parameters) {
    const std::string name = text("param.", parameter.name);
    const io::Tensor& stored = file.at(name);
    if (stored.shape != dimensions(parameter.shape)) {
      fail(ErrorCode::format, text(file.source, " tensor '", name, "'"),
           text(parameter.shape.elements(), " elements in its shape"),
           text(io::elements(stored), " elements in another shape"));
    }
    values.push_back(io::to_floats(stored));
  }
  for (std::size_t k = 0; k < values.size(); ++k) {
    std::copy(values[k].begin(), values[k].end(), parameters[k].value.begin());
  }
}

}  // namespace plasticity

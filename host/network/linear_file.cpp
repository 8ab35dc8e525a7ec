#include <algorithm>
#include <utility>

#include "base/throw_error.hpp"
#include "io/file_keys.hpp"
#include "io/safetensors_header.hpp"
#include "network/linear.hpp"

namespace plasticity {

void Linear::save(io::TensorFile& file) const {
  Implementation& layer = *implementation_;
  const std::string weight = "param." + layer.name + ".weight", bias = "param." + layer.name + ".bias";
  io::TensorFile part;
  part.tensors[weight] = io::make_tensor({layer.inputs, layer.outputs}, layer.weight);
  part.tensors[bias] = io::make_tensor({layer.outputs}, layer.bias);
  add_to_file(std::move(part), file);
}

void Linear::load(const io::TensorFile& file) {
  Implementation& layer = *implementation_;
  const auto read = [&](const char* part, const std::vector<std::int64_t>& shape) {
    const std::string name = "param." + layer.name + part;
    const io::Tensor& stored = file.at(name);
    if (stored.shape != shape) {
      throw_error(ErrorCode::format, place_in(file, str_cat("tensor '", name, "'")),
                  str_cat("shape ", io::shape_text(shape)), str_cat("shape ", io::shape_text(stored.shape)));
    }
    return io::to_floats(stored);
  };
  const std::vector<float> weight = read(".weight", {layer.inputs, layer.outputs}),
                           bias = read(".bias", {layer.outputs});
  std::copy(weight.begin(), weight.end(), layer.weight.begin());  // views of the parameters stay valid
  std::copy(bias.begin(), bias.end(), layer.bias.begin());
  ++layer.version;
}

}  // namespace plasticity

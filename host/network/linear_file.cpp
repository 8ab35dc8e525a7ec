#include <algorithm>

#include "base/throw_error.hpp"
#include "io/file_keys.hpp"
#include "io/safetensors_header.hpp"
#include "plasticity/linear.hpp"

namespace plasticity {

void Linear::save(io::TensorFile& file) const {
  check_not_moved();
  const std::string weight = "param." + name_ + ".weight", bias = "param." + name_ + ".bias";
  check_new_tensor(file, weight);
  check_new_tensor(file, bias);
  file.tensors[weight] = io::make_tensor({inputs_, outputs_}, weight_);
  file.tensors[bias] = io::make_tensor({outputs_}, bias_);
}

void Linear::load(const io::TensorFile& file) {
  check_not_moved();
  const auto read = [&](const char* part, const std::vector<std::int64_t>& shape) {
    const std::string name = "param." + name_ + part;
    const io::Tensor& stored = file.at(name);
    if (stored.shape != shape) {
      throw_error(ErrorCode::format, place_in(file, str_cat("tensor '", name, "'")),
                  str_cat("shape ", io::shape_text(shape)), str_cat("shape ", io::shape_text(stored.shape)));
    }
    return io::to_floats(stored);
  };
  const std::vector<float> weight = read(".weight", {inputs_, outputs_}), bias = read(".bias", {outputs_});
  std::copy(weight.begin(), weight.end(), weight_.begin());  // views of the parameters stay valid
  std::copy(bias.begin(), bias.end(), bias_.begin());
  ++*buffers_.version;
}

}  // namespace plasticity

#include "c/file.hpp"

#include <array>
#include <cstring>
#include <iterator>

#include "c/network.hpp"
#include "c/spec.hpp"

namespace plasticity::c {
namespace {

/// A type of the file format and the corresponding DLPack type.
struct TypePair {
  io::DType in_file;
  plasticity_dtype in_memory;
};
constexpr std::array<TypePair, 8> types{{{io::DType::f64, {PLASTICITY_FLOAT, 64, 1}},
                                         {io::DType::f32, {PLASTICITY_FLOAT, 32, 1}},
                                         {io::DType::f16, {PLASTICITY_FLOAT, 16, 1}},
                                         {io::DType::bf16, {PLASTICITY_BFLOAT, 16, 1}},
                                         {io::DType::i64, {PLASTICITY_INT, 64, 1}},
                                         {io::DType::i32, {PLASTICITY_INT, 32, 1}},
                                         {io::DType::u8, {PLASTICITY_UINT, 8, 1}},
                                         {io::DType::boolean, {PLASTICITY_BOOL, 8, 1}}}};

io::DType type_in_file(const std::string& name, plasticity_dtype dtype) {
  for (const TypePair& type : types) {
    const plasticity_dtype each = type.in_memory;
    if (each.code == dtype.code && each.bits == dtype.bits && each.lanes == dtype.lanes) return type.in_file;
  }
  bad_argument(str_cat(name, ".dtype"), "float16, float32, float64, bfloat16, int32, int64, uint8 or bool",
               to_string(dtype));
}

plasticity_dtype type_in_memory(io::DType dtype) {
  for (const TypePair& type : types) {
    if (type.in_file == dtype) return type.in_memory;
  }
  return {};
}

io::Tensor to_tensor(const std::string& name, const plasticity_tensor& tensor) {
  check_dense(name, tensor, max_file_axes);
  check_on_host(name, tensor);
  io::Tensor copy;
  copy.dtype = type_in_file(name, tensor.dtype);
  copy.shape.assign(tensor.shape, tensor.shape + tensor.ndim);
  copy.data.resize(static_cast<std::size_t>(io::elements(copy)) * io::element_bytes(copy.dtype));
  if (!copy.data.empty()) std::memcpy(copy.data.data(), data_of(tensor), copy.data.size());
  return copy;
}

/// The key of entry number `index`.
template <class Map>
const std::string& key_at(const Map& map, std::size_t index) {
  if (index >= map.size()) bad_argument("index", str_cat("less than ", map.size()), str_cat(index));
  return std::next(map.begin(), static_cast<std::ptrdiff_t>(index))->first;
}

}  // namespace
}  // namespace plasticity::c

using namespace plasticity;
using c::guarded, c::not_null;

plasticity_status plasticity_file_create(plasticity_file** file) {
  return guarded([&] {
    plasticity_file*& out = not_null(file, "file");
    out = new plasticity_file;
  });
}

plasticity_status plasticity_file_load(const char* path, plasticity_file** file) {
  return guarded([&] {
    plasticity_file*& out = not_null(file, "file");
    out = new plasticity_file{io::load(&not_null(path, "path"))};
  });
}

plasticity_status plasticity_file_save(const plasticity_file* file, const char* path) {
  return guarded([&] { io::save(&not_null(path, "path"), not_null(file, "file").file); });
}

void plasticity_file_destroy(plasticity_file* file) { delete file; }

plasticity_status plasticity_file_set_tensor(plasticity_file* file, const char* name,
                                             const plasticity_tensor* tensor) {
  return guarded([&] {
    const std::string key = &not_null(name, "name");
    not_null(file, "file").file.tensors[key] = c::to_tensor(key, not_null(tensor, "tensor"));
  });
}

plasticity_status plasticity_file_tensor(const plasticity_file* file, const char* name,
                                         plasticity_tensor* tensor) {
  return guarded([&] {
    const io::Tensor& found = not_null(file, "file").file.at(&not_null(name, "name"));
    not_null(tensor, "tensor") =
        c::host_view(const_cast<std::byte*>(found.data.data()), c::type_in_memory(found.dtype), found.shape);
  });
}

plasticity_status plasticity_file_set_metadata(plasticity_file* file, const char* key, const char* value) {
  return guarded([&] {
    std::string name = &not_null(key, "key"), text = &not_null(value, "value");
    not_null(file, "file").file.metadata.insert_or_assign(std::move(name), std::move(text));
  });
}

plasticity_status plasticity_file_metadata(const plasticity_file* file, const char* key, const char** value) {
  return guarded([&] {
    const io::TensorFile& content = not_null(file, "file").file;
    const auto found = content.metadata.find(&not_null(key, "key"));
    if (found == content.metadata.end())
      throw_error(ErrorCode::format, str_cat("metadata '", key, '\''), "a value", "none");
    not_null(value, "value") = found->second.c_str();
  });
}

plasticity_status plasticity_file_counts(const plasticity_file* file, size_t* tensors, size_t* metadata) {
  return guarded([&] {
    const io::TensorFile& content = not_null(file, "file").file;
    if (tensors != nullptr) *tensors = content.tensors.size();
    if (metadata != nullptr) *metadata = content.metadata.size();
  });
}

plasticity_status plasticity_file_tensor_name(const plasticity_file* file, size_t index, const char** name) {
  return guarded(
      [&] { not_null(name, "name") = c::key_at(not_null(file, "file").file.tensors, index).c_str(); });
}

plasticity_status plasticity_file_metadata_key(const plasticity_file* file, size_t index, const char** key) {
  return guarded(
      [&] { not_null(key, "key") = c::key_at(not_null(file, "file").file.metadata, index).c_str(); });
}

plasticity_status plasticity_network_save(const plasticity_network* network, plasticity_file* file) {
  return guarded([&] {
    not_null(network, "network").visit([&](auto& typed) { typed.save(not_null(file, "file").file); });
  });
}

plasticity_status plasticity_network_load(plasticity_network* network, const plasticity_file* file) {
  return guarded([&] {
    not_null(network, "network").visit([&](auto& typed) { typed.load(not_null(file, "file").file); });
  });
}

plasticity_status plasticity_network_save_state(const plasticity_network* network, plasticity_file* file) {
  return guarded([&] {
    not_null(network, "network").visit([&](auto& typed) { typed.save_state(not_null(file, "file").file); });
  });
}

plasticity_status plasticity_network_load_state(plasticity_network* network, const plasticity_file* file) {
  return guarded([&] {
    not_null(network, "network").visit([&](auto& typed) { typed.load_state(not_null(file, "file").file); });
  });
}

plasticity_status plasticity_optimizer_save(const plasticity_optimizer* optimizer, plasticity_file* file) {
  return guarded([&] { not_null(optimizer, "optimizer").optimizer.save(not_null(file, "file").file); });
}

plasticity_status plasticity_optimizer_load(plasticity_optimizer* optimizer, const plasticity_file* file) {
  return guarded([&] { not_null(optimizer, "optimizer").optimizer.load(not_null(file, "file").file); });
}

plasticity_status plasticity_adam_save(const plasticity_adam* adam, plasticity_file* file) {
  return plasticity_optimizer_save(adam, file);
}

plasticity_status plasticity_adam_load(plasticity_adam* adam, const plasticity_file* file) {
  return plasticity_optimizer_load(adam, file);
}

plasticity_status plasticity_trainer_save(const plasticity_trainer* trainer, plasticity_file* file) {
  return guarded([&] { not_null(trainer, "trainer").trainer.save(not_null(file, "file").file); });
}

plasticity_status plasticity_trainer_load(plasticity_trainer* trainer, const plasticity_file* file) {
  return guarded([&] { not_null(trainer, "trainer").trainer.load(not_null(file, "file").file); });
}

plasticity_status plasticity_file_spec(const plasticity_file* file, plasticity_spec* spec) {
  return plasticity_file_spec_of(file, "", spec);
}

plasticity_status plasticity_file_spec_of(const plasticity_file* file, const char* name,
                                          plasticity_spec* spec) {
  return guarded([&] {
    not_null(spec, "spec") = c::from_spec(load_spec(not_null(file, "file").file, &not_null(name, "name")));
  });
}

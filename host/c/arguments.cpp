#include "c/arguments.hpp"

#include <algorithm>

#include "check/arguments.hpp"

namespace plasticity::c {
namespace {

/// Returns whether a tensor of type `got` may be used as `expected`. A bool may be used as uint8.
bool matches(plasticity_dtype got, plasticity_dtype expected) {
  const bool as_uint8 = expected.code == PLASTICITY_UINT && expected.bits == 8 && got.code == PLASTICITY_BOOL;
  return (got.code == expected.code || as_uint8) && got.bits == expected.bits && got.lanes == expected.lanes;
}

std::string to_string(plasticity_device device) {
  switch (device.kind) {
    case PLASTICITY_CPU: return "the CPU";
    case PLASTICITY_CUDA: return str_cat("CUDA device ", device.index);
    case PLASTICITY_CUDA_HOST: return "pinned host memory";
    case PLASTICITY_CUDA_MANAGED: return "managed memory";
    default: return str_cat("a device of kind ", device.kind);
  }
}

}  // namespace

std::string to_string(plasticity_dtype dtype) {
  const char* kind = dtype.code == PLASTICITY_INT      ? "int"
                     : dtype.code == PLASTICITY_UINT   ? "uint"
                     : dtype.code == PLASTICITY_FLOAT  ? "float"
                     : dtype.code == PLASTICITY_BFLOAT ? "bfloat"
                     : dtype.code == PLASTICITY_BOOL   ? "bool"
                                                       : nullptr;
  const std::string name =
      str_cat(kind == nullptr ? str_cat("type ", int{dtype.code}, " of bits ") : kind, int{dtype.bits});
  return dtype.lanes == 1 ? name : str_cat(name, " x ", dtype.lanes);
}

std::string to_string(const std::int64_t* shape, std::int32_t ndim) {
  std::string list = "[";
  for (std::int32_t axis = 0; axis < ndim; ++axis) list += str_cat(axis > 0 ? "," : "", shape[axis]);
  return list + "]";
}

void check_count(const char* list, std::size_t count) {
  constexpr std::size_t max_count = std::size_t{1} << 20;
  if (count > max_count)
    bad_argument(str_cat("number of ", list), str_cat("at most ", max_count), str_cat(count));
}

bool Name::operator==(std::string_view whole) const {
  if (group.empty()) return field == whole;
  return whole.size() == group.size() + 1 + field.size() && whole[group.size()] == '.' &&
         whole.ends_with(field) && whole.starts_with(group);
}

std::ostream& operator<<(std::ostream& out, const Name& name) {
  if (!name.group.empty()) out << name.group << '.';
  return out << name.field;
}

void check_dense(Name name, const plasticity_tensor& tensor, std::int32_t max_axes) {
  if (tensor.ndim < 0) bad_argument(str_cat(name, ".ndim"), "at least 0", str_cat(tensor.ndim));
  if (tensor.ndim > max_axes) {
    bad_argument(str_cat(name, ".ndim"), str_cat("at most ", max_axes), str_cat(tensor.ndim));
  }
  if (tensor.ndim > 0 && tensor.shape == nullptr) bad_argument(str_cat(name, ".shape"), "a pointer", "null");
  std::int64_t elements = 1;
  for (std::int32_t axis = 0; axis < tensor.ndim; ++axis) {
    const std::int64_t size = tensor.shape[axis];
    if (size < 0) bad_argument(str_cat(name, ".shape[", axis, "]"), "at least 0", str_cat(size));
    if (size > 0 && elements > max_elements / size) {
      bad_argument(str_cat(name, ".shape"), "at most 2^48 elements", to_string(tensor.shape, tensor.ndim));
    }
    elements *= size;
  }
  if (elements == 0) return;
  if (tensor.data == nullptr) bad_argument(str_cat(name, ".data"), "a pointer", "null");
  if (tensor.strides == nullptr) return;
  std::int64_t dense = 1;
  for (std::int32_t axis = tensor.ndim - 1; axis >= 0; --axis) {
    if (tensor.shape[axis] > 1 && tensor.strides[axis] != dense) {
      bad_argument(str_cat(name, ".strides"), "the strides of a dense row-major tensor, or null",
                   str_cat(to_string(tensor.strides, tensor.ndim), " for shape ",
                           to_string(tensor.shape, tensor.ndim)));
    }
    dense *= tensor.shape[axis];
  }
}

void check_on_host(Name name, const plasticity_tensor& tensor) {
  const std::int32_t kind = tensor.device.kind;
  if (kind != PLASTICITY_CPU && kind != PLASTICITY_CUDA_HOST && kind != PLASTICITY_CUDA_MANAGED)
    bad_argument(str_cat(name, ".device"), "host memory", to_string(tensor.device));
}

void check_aligned(Name name, const plasticity_tensor& tensor) {
  const std::size_t bytes = tensor.dtype.bits / std::size_t{8};
  const void* const first = data_of(tensor);
  if (reinterpret_cast<std::uintptr_t>(first) % bytes != 0 && elements_of(tensor) > 0)
    bad_argument(str_cat(name, ".data"), str_cat("memory aligned to ", bytes, " bytes"), str_cat(first));
}

void check_dtype(Name name, const plasticity_tensor& tensor, plasticity_dtype expected) {
  if (!matches(tensor.dtype, expected))
    bad_argument(str_cat(name, ".dtype"), to_string(expected), to_string(tensor.dtype));
}

std::size_t elements_of(const plasticity_tensor& tensor) {
  std::size_t elements = 1;
  for (std::int32_t axis = 0; axis < tensor.ndim; ++axis)
    elements *= static_cast<std::size_t>(tensor.shape[axis]);
  return elements;
}

void* data_of(const plasticity_tensor& tensor) {
  return tensor.data == nullptr ? nullptr : static_cast<std::byte*>(tensor.data) + tensor.byte_offset;
}

plasticity_tensor host_view(void* data, plasticity_dtype dtype, const std::vector<std::int64_t>& shape) {
  return {.data = data,
          .device = {PLASTICITY_CPU, 0},
          .ndim = static_cast<std::int32_t>(shape.size()),
          .dtype = dtype,
          .shape = const_cast<std::int64_t*>(shape.data()),  // DLPack has no const field
          .strides = nullptr,
          .byte_offset = 0};
}

Arguments::Arguments(const plasticity_argument* list, std::size_t count, Device device) : device_(device) {
  if (count > 0 && list == nullptr) bad_argument("arguments", str_cat("a list of ", count), "null");
  check_count("arguments", count);
  entries_.reserve(count);
  known_.reserve(40);
  for (std::size_t k = 0; k < count; ++k) {
    if (list[k].name == nullptr) bad_argument(str_cat("arguments[", k, "].name"), "a name", "null");
    const Name name(list[k].name);
    if (find(name) != entries_.end())
      throw Error(ErrorCode::invalid_argument, str_cat(name, ": occurs twice"));
    entries_.push_back({list[k].name, list[k].tensor});
  }
}

std::vector<Arguments::Entry>::iterator Arguments::find(Name name) {
  return std::find_if(entries_.begin(), entries_.end(), [&](const Entry& each) { return name == each.name; });
}

bool Arguments::has(Name name) {
  const auto entry = find(name);
  return entry != entries_.end() && entry->tensor != nullptr;
}

void Arguments::check_device(Name name, const plasticity_tensor& tensor) const {
  const plasticity_device got = tensor.device;
  const bool for_cpu = device_.kind() == DeviceKind::cpu;
  const bool on_host = got.kind == PLASTICITY_CPU || got.kind == PLASTICITY_CUDA_HOST;
  const bool on_gpu = got.kind == PLASTICITY_CUDA && got.index == device_.index();
  if ((for_cpu ? on_host : on_gpu) || got.kind == PLASTICITY_CUDA_MANAGED) return;
  const plasticity_device expected = {for_cpu ? PLASTICITY_CPU : PLASTICITY_CUDA, device_.index()};
  bad_argument(str_cat(name, ".device"), to_string(expected), to_string(got));
}

void* Arguments::take(Name name, const Shape& shape, plasticity_dtype dtype) {
  known_.push_back(name);
  const auto entry = find(name);
  if (entry == entries_.end()) return nullptr;
  entry->taken = true;
  if (entry->tensor == nullptr) return nullptr;
  const plasticity_tensor& tensor = *entry->tensor;
  check_dtype(name, tensor, dtype);
  check_dense(name, tensor, PLASTICITY_MAX_AXES);
  const auto has_shape = [&](const std::int64_t* size, int rank) {
    return tensor.ndim == rank && std::equal(size, size + rank, tensor.shape);
  };
  const bool may_drop_axis = leading_one_optional_ && shape.rank > 1 && shape.size[0] == 1;
  if (!has_shape(shape.size.data(), shape.rank) &&
      !(may_drop_axis && has_shape(shape.size.data() + 1, shape.rank - 1))) {
    bad_argument(str_cat(name, ".shape"), to_string(shape.size.data(), shape.rank),
                 to_string(tensor.shape, tensor.ndim));
  }
  check_device(name, tensor);
  check_aligned(name, tensor);
  return data_of(tensor);
}

void Arguments::check_all_used() const {
  for (const Entry& entry : entries_) {
    if (entry.taken || entry.tensor == nullptr) continue;
    std::string names;
    for (const Name& each : known_) names += str_cat(names.empty() ? "" : ", ", each);
    bad_argument("arguments", str_cat("only arguments of this call (", names, ")"),
                 str_cat('\'', entry.name, '\''));
  }
}

}  // namespace plasticity::c

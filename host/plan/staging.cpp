#include "plan/staging.hpp"

#include <cstring>

namespace plasticity {

void make_room(DeviceMemory& memory, Device device, std::size_t bytes) {
  if (memory.bytes() >= bytes) return;
  memory = {};  // the old piece is gone before there is a new one
  memory = DeviceMemory(device, bytes);
}

void* Staging::data(const Tensor& tensor) const {
  return tensor.bytes == 0 ? nullptr : static_cast<std::byte*>(memory_.data()) + tensor.offset;
}

void Staging::send() {
  make_room(memory_, device_, bytes_);
  if (upload_ != nullptr) {
    send_gathered();
  } else {
    for (const Tensor& tensor : tensors_) {
      if (tensor.from != nullptr) copy(device_, stream_, data(tensor), tensor.from, tensor.bytes);
    }
  }
  for (const Tensor& tensor : tensors_) tensor.show(tensor.pointer, data(tensor));
}

void Staging::send_gathered() {
  std::size_t end = 0;
  for (const Tensor& tensor : tensors_) {
    if (tensor.from != nullptr) end = tensor.offset + tensor.bytes;
  }
  if (upload_->bytes() < end) *upload_ = PageLocked(device_, end);
  for (const Tensor& tensor : tensors_) {
    if (tensor.from != nullptr && tensor.bytes > 0)
      std::memcpy(upload_->data() + tensor.offset, tensor.from, tensor.bytes);
  }
  copy_from(*upload_, device_, stream_, memory_.data(), end);
}

void Staging::fetch() const {
  for (const Tensor& tensor : tensors_) {
    if (tensor.to != nullptr) copy(device_, stream_, tensor.to, data(tensor), tensor.bytes);
  }
}

namespace {

/// The shapes of a call's tensors by their names.
struct Shapes {
  const Spec& spec;
  std::int64_t T, B;

  auto parameter() const {
    return [this](std::string_view name) { return parameter_shape(spec, name); };
  }
  auto input() const {
    return [this](std::string_view name) { return input_shape(spec, T, B, name); };
  }
  auto state() const {
    return [this](std::string_view name) { return state_shape(spec, B, name); };
  }
};

}  // namespace

template <class Real>
void stage_inputs(Staging& staging, const Spec& spec, std::int64_t steps, std::int64_t batch,
                  Inputs<const Real>& inputs, Masks<Real>& masks) {
  const Shapes shapes{spec, steps, batch};
  const std::int64_t rows = steps * batch;
  staging.read_group(inputs, shapes.input());
  staging.read(masks.reset, rows);
  staging.read(masks.length, batch);
  staging.read(masks.clamp, rows * spec.neurons);
  staging.read(masks.clamp_value, rows * spec.neurons);
}

template <class Real>
void stage_forward(Staging& staging, const Spec& spec, std::int64_t steps, std::int64_t batch,
                   ForwardArgs<Real>& args) {
  const Shapes shapes{spec, steps, batch};
  const std::int64_t rows = steps * batch;
  staging.read_group(args.parameters, shapes.parameter());
  stage_inputs(staging, spec, steps, batch, args.inputs, args.masks);
  staging.read_group(args.initial_state, shapes.state());
  staging.update(args.y, rows * spec.neurons);
  staging.update(args.modulation, rows);
  staging.update_group(args.final_state, shapes.state());
}

template <class Real>
void stage_gradients(Staging& staging, const Spec& spec, std::int64_t steps, std::int64_t batch,
                     BackwardArgs<Real>& args) {
  const Shapes shapes{spec, steps, batch};
  staging.read(args.dy, steps * batch * spec.neurons);
  staging.read_group(args.dfinal_state, shapes.state());
  staging.update_group(args.dparameters, shapes.parameter());
  staging.update_group(args.dinputs, shapes.input());
  staging.update_group(args.dinitial_state, shapes.state());
}

#define PLASTICITY_INSTANTIATE(Real)                                                                  \
  template void stage_inputs(Staging&, const Spec&, std::int64_t, std::int64_t, Inputs<const Real>&,  \
                             Masks<Real>&);                                                           \
  template void stage_forward(Staging&, const Spec&, std::int64_t, std::int64_t, ForwardArgs<Real>&); \
  template void stage_gradients(Staging&, const Spec&, std::int64_t, std::int64_t, BackwardArgs<Real>&);
PLASTICITY_INSTANTIATE(float)
PLASTICITY_INSTANTIATE(double)
#undef PLASTICITY_INSTANTIATE

}  // namespace plasticity

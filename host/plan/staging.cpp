#include "plan/staging.hpp"

#include <cstring>

namespace plasticity {

void make_room(DeviceMemory& memory, Device device, std::size_t bytes) {
  if (memory.bytes() >= bytes) return;
  memory = {};  // free the old block before allocating the new one
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
      if (tensor.source != nullptr) copy(device_, stream_, data(tensor), tensor.source, tensor.bytes);
    }
  }
  for (const Tensor& tensor : tensors_) tensor.redirect(tensor.pointer, data(tensor));
}

void Staging::send_gathered() {
  std::size_t end = 0;
  for (const Tensor& tensor : tensors_) {
    if (tensor.source != nullptr) end = tensor.offset + tensor.bytes;
  }
  if (upload_->bytes() < end) *upload_ = PageLocked(device_, end);
  for (const Tensor& tensor : tensors_) {
    if (tensor.source != nullptr && tensor.bytes > 0)
      std::memcpy(upload_->data() + tensor.offset, tensor.source, tensor.bytes);
  }
  copy_from(*upload_, device_, stream_, memory_.data(), end);
}

void Staging::fetch() const {
  for (const Tensor& tensor : tensors_) {
    if (tensor.destination != nullptr) copy(device_, stream_, tensor.destination, data(tensor), tensor.bytes);
  }
}

template <class Real>
void stage_inputs(Staging& staging, const Spec& spec, std::int64_t steps, std::int64_t batch,
                  Inputs<const Real>& inputs, Masks<Real>& masks) {
  const std::int64_t rows = steps * batch;
  staging.read_group(spec, steps, batch, inputs);
  staging.read(masks.reset, rows);
  staging.read(masks.length, batch);
  staging.read(masks.clamp, rows * spec.neurons);
  staging.read(masks.clamp_value, rows * spec.neurons);
}

template <class Real>
void stage_forward(Staging& staging, const Spec& spec, std::int64_t steps, std::int64_t batch,
                   ForwardArgs<Real>& args) {
  const std::int64_t rows = steps * batch;
  staging.read_group(spec, steps, batch, args.parameters);
  stage_inputs(staging, spec, steps, batch, args.inputs, args.masks);
  staging.read_group(spec, steps, batch, args.initial_state);
  staging.update(args.y, rows * spec.neurons);
  staging.update(args.modulation, rows);
  staging.update(args.a, rows * spec.neurons);
  staging.update_group(spec, steps, batch, args.final_state);
}

template <class Real>
void stage_gradients(Staging& staging, const Spec& spec, std::int64_t steps, std::int64_t batch,
                     BackwardArgs<Real>& args) {
  staging.read(args.dy, steps * batch * spec.neurons);
  staging.read(args.da, steps * batch * spec.neurons);
  staging.read_group(spec, steps, batch, args.dfinal_state);
  staging.update_group(spec, steps, batch, args.dparameters);
  staging.update_group(spec, steps, batch, args.dinputs);
  staging.update_group(spec, steps, batch, args.dinitial_state);
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

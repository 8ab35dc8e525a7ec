#include "network/windows.hpp"

#include <algorithm>
#include <utility>

namespace plasticity {

template <class Real>
Window<Real>& RecordedWindows<Real>::next() {
  if (windows_.size() == count_) windows_.emplace_back();
  return windows_[count_];
}

template <class Real>
bool RecordedWindows<Real>::next_needs_checkpoint() {
  if (next_has_tape() || !is_on_grid(count_)) return false;
  if (checkpoints_.size() < distance_) return true;
  distance_ *= 2;
  for (StateCheckpoint& checkpoint : checkpoints_) {
    if (!is_on_grid(checkpoint.window)) checkpoint_blocks_.give(std::move(checkpoint.memory));
  }
  std::erase_if(checkpoints_,
                [&](const StateCheckpoint& checkpoint) { return !is_on_grid(checkpoint.window); });
  return is_on_grid(count_);
}

template <class Real>
void RecordedWindows<Real>::add_next(std::optional<StateCheckpoint> checkpoint) {
  if (checkpoint) add_checkpoint(std::move(*checkpoint));
  ++count_;
  has_state_moved_ = false;
}

template <class Real>
void RecordedWindows<Real>::remove_last() {
  release_tape(last());
  --count_;
  drop_checkpoints_from(count_);
  has_later_gradient_ = count_ > 0;
  if (count_ == 0) clear();
}

template <class Real>
void RecordedWindows<Real>::clear() {
  for (std::size_t k = 0; k < count_; ++k) release_tape(windows_[k]);
  drop_checkpoints_from(0);
  distance_ = 1;
  count_ = 0;
  has_later_gradient_ = has_state_moved_ = false;
}

template <class Real>
std::size_t RecordedWindows<Real>::max_tapes() const {
  return std::max<std::size_t>(1, distance_ / 2);
}

template <class Real>
void RecordedWindows<Real>::release_tape(Window<Real>& window) {
  tapes_.give(std::move(window.tape));
  window.has_tape = false;
}

template <class Real>
void RecordedWindows<Real>::drop_checkpoints_from(std::size_t window) {
  while (!checkpoints_.empty() && checkpoints_.back().window >= window) {
    checkpoint_blocks_.give(std::move(checkpoints_.back().memory));
    checkpoints_.pop_back();
  }
}

template class RecordedWindows<float>;
template class RecordedWindows<double>;

}  // namespace plasticity

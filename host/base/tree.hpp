#pragma once

#include <cstdint>

// The order in which the library adds the gradients of samples, and those of ranks: a fixed binary tree over
// the index. The sum of n items is the sum of the first ceil(n/2) plus the sum of the others. If R is a power
// of two that divides n, each R-th part of the items is a subtree. R ranks with n/R samples each then compute
// the same bits as one rank with n.
namespace plasticity {

/// Items of the left subtree.
constexpr std::int64_t left_half(std::int64_t count) { return (count + 1) / 2; }

/// Levels of the tree below its root.
constexpr int tree_depth(std::int64_t count) {
  int depth = 0;
  for (; count > 1; count = left_half(count)) ++depth;
  return depth;
}

/// Successive items.
struct ItemRange {
  std::int64_t first, count;
};

/// Returns the items of node `index` among the 2^depth nodes at `depth`.
constexpr ItemRange tree_node(std::int64_t count, int depth, std::int64_t index) {
  ItemRange node{0, count};
  for (int level = depth - 1; level >= 0; --level) {
    const std::int64_t left = left_half(node.count);
    node = (index >> level & 1) == 0 ? ItemRange{node.first, left}
                                     : ItemRange{node.first + left, node.count - left};
  }
  return node;
}

/// Adds items first .. first+count-1 in place; count is at least 1. add(a, b) adds item b to item a. The sum
/// is then in item `first`.
template <class Add>
void add_in_tree(std::int64_t first, std::int64_t count, const Add& add) {
  if (count == 1) return;
  const std::int64_t left = left_half(count);
  add_in_tree(first, left, add);
  add_in_tree(first + left, count - left, add);
  add(first, first + left);
}

/// Adds items that are computed one by one, with one slot per level of the tree. compute(item, slot) writes
/// an item to a slot; add(slot) adds slot + 1 to it. The sum is then in slot `slot`. Uses tree_depth(count)
/// more slots.
template <class Compute, class Add>
void add_in_slots(std::int64_t first, std::int64_t count, int slot, const Compute& compute, const Add& add) {
  if (count == 1) return compute(first, slot);
  const std::int64_t left = left_half(count);
  add_in_slots(first, left, slot, compute, add);
  add_in_slots(first + left, count - left, slot + 1, compute, add);
  add(slot);
}

/// Returns the sum of value(0) .. value(count-1); T() if there are none.
template <class T, class Value>
T tree_total(std::int64_t first, std::int64_t count, const Value& value) {
  if (count == 0) return T();
  if (count == 1) return value(first);
  const std::int64_t left = left_half(count);
  T total = tree_total<T>(first, left, value);
  total += tree_total<T>(first + left, count - left, value);
  return total;
}

}  // namespace plasticity

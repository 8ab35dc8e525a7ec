// Fibers: flows of control that take turns on one OS thread, each on a stack of its own.
#pragma once

#include <cstddef>
#include <vector>

#if defined(SIMT_UCONTEXT)
#include <ucontext.h>
#else
#include <boost/context/detail/fcontext.hpp>
#endif

namespace simt {

/// A stack with a guard page below it. Under ThreadSanitizer it has a fiber of TSan, which is reused with it.
struct Stack {
  char* low = nullptr;
  std::size_t bytes = 0;
  void* tsan = nullptr;
};

/// Stacks that are free to use. There is one pool per OS thread.
class StackPool {
 public:
  StackPool() = default;
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;
  ~StackPool();

  Stack take();
  void put_back(Stack stack) { free_.push_back(stack); }

  /// For the stack of a fiber that was abandoned in the middle: it is unmapped, not used again.
  static void destroy(Stack stack);

 private:
  std::vector<Stack> free_;
};
StackPool& stack_pool();

/// A flow of control while it does not run.
struct Context {
#if defined(SIMT_UCONTEXT)
  ucontext_t machine;
#else
  boost::context::detail::fcontext_t machine = nullptr;
#endif
  Stack stack;                      // of the OS thread's own context: learned at the first switch, for ASan
  void* asan_fake_stack = nullptr;  // ASan's memory for locals that outlive a return
  void (*entry)() = nullptr;        // never returns

  /// Makes this a fiber that will begin with `start`.
  void prepare(Stack on, void (*start)());

  /// Makes this the context of the flow of control that runs now, so that it can be switched from.
  void adopt_running();
};

/// Switches from `from`, which is running, to `to`. Returns after a switch back to `from`; never if `last` is
/// set, which lets ASan free its memory for `from`.
void switch_context(Context& from, Context& to, bool last = false);

}  // namespace simt

// Switches by Boost.Context or ucontext, with the calls that the sanitizers need.
#include "simt/executor/fiber.hpp"

#include <sys/mman.h>

#include <cstdlib>

#include "simt/config.hpp"
#include "simt/executor/sanitizer.hpp"

namespace simt {
namespace {

constexpr std::size_t page = 4096;

std::size_t wanted_stack_bytes() {
  const std::size_t bytes = config().stack_bytes ? config().stack_bytes : default_stack_bytes;
  return (bytes + page - 1) / page * page;
}

thread_local Context* switched_from = nullptr;  // who jumped to the context that is being entered

/// The first thing a context does after a switch to it.
void arrived(void* fake_stack) {
#if defined(__SANITIZE_ADDRESS__)
  const void* low = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(fake_stack, &low, &bytes);
  switched_from->stack.low = static_cast<char*>(const_cast<void*>(low));
  switched_from->stack.bytes = bytes;
#else
  (void)fake_stack;
#endif
}

thread_local Context* starting = nullptr;

#if defined(SIMT_UCONTEXT)
void first_entry() {
#else
void first_entry(boost::context::detail::transfer_t from) {
  switched_from->machine = from.fctx;
#endif
  arrived(nullptr);
  starting->entry();
  std::abort();  // an entry never returns
}

}  // namespace

Stack StackPool::take() {
  const std::size_t bytes = wanted_stack_bytes();
  while (!free_.empty() && free_.back().bytes != bytes) {  // the configuration changed
    destroy(free_.back());
    free_.pop_back();
  }
  Stack stack;
  if (!free_.empty()) {
    stack = free_.back();
    free_.pop_back();
  } else {
    void* p = mmap(nullptr, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    if (p == MAP_FAILED)
      throw Error("out of memory mappings for stacks: run fewer threads, or raise vm.max_map_count");
    mprotect(p, page, PROT_NONE);
    stack.low = static_cast<char*>(p) + page;
    stack.bytes = bytes;
#if defined(SIMT_TSAN)
    stack.tsan = __tsan_create_fiber(0);
#endif
  }
  unpoison(stack.low, stack.bytes);
  return stack;
}

void StackPool::destroy(Stack stack) {
  unpoison(stack.low, stack.bytes);  // or the next mapping at this address inherits the poison
  munmap(stack.low - page, stack.bytes + page);
#if defined(SIMT_TSAN)
  __tsan_destroy_fiber(stack.tsan);
#endif
}

StackPool::~StackPool() {
  for (Stack stack : free_) destroy(stack);
}

StackPool& stack_pool() {
  thread_local StackPool pool;
  return pool;
}

void Context::prepare(Stack on, void (*start)()) {
  stack = on;
  entry = start;
#if defined(SIMT_UCONTEXT)
  getcontext(&machine);
  machine.uc_stack.ss_sp = stack.low;
  machine.uc_stack.ss_size = stack.bytes;
  machine.uc_link = nullptr;
  makecontext(&machine, first_entry, 0);
#else
  machine = boost::context::detail::make_fcontext(stack.low + stack.bytes, stack.bytes, first_entry);
#endif
}

void Context::adopt_running() {
#if defined(SIMT_TSAN)
  stack.tsan = __tsan_get_current_fiber();
#endif
}

[[gnu::noinline]] void switch_context(Context& from, Context& to, bool last) {
  switched_from = &from;
  starting = &to;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(last ? nullptr : &from.asan_fake_stack, to.stack.low, to.stack.bytes);
#else
  (void)last;
#endif
#if defined(SIMT_TSAN)
  __tsan_switch_to_fiber(to.stack.tsan, 1);  // 1: a switch orders nothing, only barriers do
#endif
#if defined(SIMT_UCONTEXT)
  swapcontext(&from.machine, &to.machine);
#else
  const auto back = boost::context::detail::jump_fcontext(to.machine, nullptr);
  switched_from->machine = back.fctx;
#endif
  arrived(from.asan_fake_stack);
}

}  // namespace simt

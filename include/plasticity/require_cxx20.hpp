#pragma once

// plasticity.hpp, and every C++ header with a class that owns something, includes this one first.
#if !defined(__cplusplus) || (__cplusplus < 201709L && !(defined(_MSVC_LANG) && _MSVC_LANG >= 202002L))
#error "plasticity needs C++20: compile with -std=c++20, or include the C interface plasticity/plasticity.h"
#endif

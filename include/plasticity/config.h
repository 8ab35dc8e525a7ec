/* Macros that the C and C++ headers share: the version and the symbol visibility. */
#ifndef PLASTICITY_CONFIG_H
#define PLASTICITY_CONFIG_H

/* The version of these headers. Versions are semantic; before 1.0.0 a minor version may change the interface.
   plasticity::version() and plasticity_version() return the version of the linked library. */
#define PLASTICITY_VERSION_MAJOR 0
#define PLASTICITY_VERSION_MINOR 1
#define PLASTICITY_VERSION_PATCH 0

/* Exports a symbol from the shared library. All other symbols are hidden. */
#if defined(__GNUC__)
#define PLASTICITY_API __attribute__((visibility("default")))
#else
#define PLASTICITY_API
#endif

#endif

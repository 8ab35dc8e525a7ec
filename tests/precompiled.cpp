// The source of the targets that only compile precompiled.hpp.

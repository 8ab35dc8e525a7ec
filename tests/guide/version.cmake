# CHANGELOG.md has a section for the version, CITATION.cff names it.
file(READ ${ROOT}/CHANGELOG.md changes)
file(READ ${ROOT}/CITATION.cff citation)
string(REPLACE "." "\\." pattern "${VERSION}")
if(NOT changes MATCHES "\n## ${pattern}[ \n]" OR NOT citation MATCHES "\nversion: ${pattern}\n")
  message(FATAL_ERROR "CHANGELOG.md and CITATION.cff: expected version ${VERSION}")
endif()

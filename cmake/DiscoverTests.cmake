# Run after a Catch2 program was linked: asks it for its test cases and writes one add_test for each.
# Ours instead of Catch's own script: that one loses a second label, and takes a name with ";" for two that never run.
# In: PROGRAM, NAME, LABELS (comma-separated), TIMEOUT, CATCH_MAJOR, OUT.
if(CATCH_MAJOR GREATER_EQUAL 3)
  set(list_arguments --list-tests --verbosity quiet)
  set(run_arguments "")
else()
  set(list_arguments --list-test-names-only)
  set(run_arguments "--warn NoTests")  # a name that selects nothing must not pass; Catch2 3 thinks so by itself
endif()
execute_process(COMMAND ${PROGRAM} ${list_arguments} OUTPUT_VARIABLE output ERROR_VARIABLE errors RESULT_VARIABLE result)
if(output STREQUAL "" OR NOT result MATCHES "^[0-9]+$")
  message(FATAL_ERROR "${PROGRAM} lists no tests (${result}): ${errors}")
endif()

# What would break a CMake list stands aside while the lines are split.
string(ASCII 1 semicolon)
string(ASCII 2 open)
string(ASCII 3 close)
foreach(pair "; semicolon" "[ open" "] close")
  string(SUBSTRING "${pair}" 0 1 character)
  string(SUBSTRING "${pair}" 2 -1 placeholder)
  string(REPLACE "${character}" "${${placeholder}}" output "${output}")
endforeach()
string(REPLACE "\n" ";" lines "${output}")
string(REPLACE "," ";" labels "${LABELS}")

set(script "")
foreach(line IN LISTS lines)
  if(line STREQUAL "")
    continue()
  endif()
  string(REPLACE "${semicolon}" ";" name "${line}")
  string(REPLACE "${open}" "[" name "${name}")
  string(REPLACE "${close}" "]" name "${name}")
  set(filter "${name}")
  foreach(character "\\" "," "[" "]")
    string(REPLACE "${character}" "\\${character}" filter "${filter}")
  endforeach()
  string(APPEND script "add_test([==[${NAME}: ${name}]==] [==[${PROGRAM}]==] [==[${filter}]==] ${run_arguments})\n"
    "set_tests_properties([==[${NAME}: ${name}]==] PROPERTIES TIMEOUT ${TIMEOUT} LABELS [==[${labels}]==])\n")
endforeach()
file(WRITE "${OUT}" "${script}")

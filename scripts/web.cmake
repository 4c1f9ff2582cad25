# web.cmake - the editor: its modules installed, bundled and embedded into libtubelet.
#
# Included by CMakeLists.txt, it sets WEB_FILES to the sources to compile: a table of the embedded files (empty
# without the editor) and, with it, an assembler file that takes in their compressed bytes. Nothing is written
# into the source tree. What is missing is said once at configure time, and the build goes on without the editor.

option(TUBELET_WEB "Build the editor and embed it (needs node, npm and once the npm registry)" ON)

set(web ${CMAKE_SOURCE_DIR}/web)
set(web_build ${CMAKE_BINARY_DIR}/web)
set(web_why "")
find_program(NODE node)
find_program(NPM npm)

# npm ci, again only when the lock file has changed.
function(install_modules why)
  set(stamp ${web_build}/modules.sha256)
  file(SHA256 ${web}/package-lock.json lock)
  if(EXISTS ${stamp})
    file(READ ${stamp} have)
    if(have STREQUAL lock)
      return()
    endif()
  endif()
  message(STATUS "Installing the editor's modules")
  file(COPY ${web}/package.json ${web}/package-lock.json DESTINATION ${web_build})
  execute_process(COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund --loglevel=error
    WORKING_DIRECTORY ${web_build} RESULT_VARIABLE failed OUTPUT_QUIET ERROR_VARIABLE said)
  if(failed)
    set(${why} "npm ci failed:\n${said}" PARENT_SCOPE)
  else()
    file(WRITE ${stamp} ${lock})
  endif()
endfunction()

if(NOT TUBELET_WEB)
  set(web_why "TUBELET_WEB is off")
elseif(NOT NODE OR NOT NPM)
  set(web_why "node or npm is missing (scripts/setup.sh installs both)")
else()
  execute_process(COMMAND ${NODE} -p "process.versions.node.split('.')[0]" OUTPUT_VARIABLE web_node
    OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT "${web_node}" GREATER_EQUAL 18)
    set(web_why "${NODE} is version '${web_node}', 18 or later is needed")
  else()
    install_modules(web_why)
  endif()
endif()

set(web_table ${CMAKE_BINARY_DIR}/web_table.c)
set(WEB_FILES ${web_table})
set(embed ${CMAKE_SOURCE_DIR}/scripts/embed_web.cmake)
if(web_why)
  if(TUBELET_WEB)
    message(WARNING "tubelet is built without its editor: ${web_why}")
  endif()
  add_custom_command(OUTPUT ${web_table}
    COMMAND ${CMAKE_COMMAND} -DTABLE=${web_table} -P ${embed}
    DEPENDS ${embed} VERBATIM)
  return()
endif()

enable_language(ASM)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${web}/package-lock.json)
file(GLOB_RECURSE web_sources CONFIGURE_DEPENDS ${web}/src/*)
list(SORT web_sources)
set(web_names app.js index.css index.html licenses.txt)
set(web_out "")
set(web_gz "")
foreach(name ${web_names})
  list(APPEND web_out ${web_build}/out/${name})
  list(APPEND web_gz ${web_build}/out/${name}.gz)
endforeach()

add_custom_command(OUTPUT ${web_out}
  COMMAND ${NODE} ${web}/build.mjs ${web_build}/out --modules ${web_build}/node_modules
  DEPENDS ${web_sources} ${web}/build.mjs ${web}/index.html ${web_build}/modules.sha256
  COMMENT "Bundling the editor" VERBATIM)
add_custom_command(OUTPUT ${web_table} ${CMAKE_BINARY_DIR}/web_bytes.S ${web_gz}
  COMMAND ${CMAKE_COMMAND} -DTABLE=${web_table} -DBYTES=${CMAKE_BINARY_DIR}/web_bytes.S "-DFILES=${web_out}" -P ${embed}
  DEPENDS ${web_out} ${embed}
  COMMENT "Embedding the editor" VERBATIM)
set_source_files_properties(${CMAKE_BINARY_DIR}/web_bytes.S PROPERTIES OBJECT_DEPENDS "${web_gz}")
list(APPEND WEB_FILES ${CMAKE_BINARY_DIR}/web_bytes.S)

# What `cpack` puts into the Debian package: the program, its systemd units, settings to begin with, documents.
include(GNUInstallDirs)
install(TARGETS assay RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ops/systemd/assay.service ops/systemd/assay-ingest.service ops/systemd/assay-worker@.service
        DESTINATION /lib/systemd/system)
install(FILES ops/package/serve.toml ops/package/ingest.toml ops/package/worker.toml DESTINATION /etc/assay)
install(FILES ops/package/default DESTINATION /etc/default RENAME assay PERMISSIONS OWNER_READ OWNER_WRITE)  # for secrets
install(FILES README.md CHANGELOG.md ops/runbook.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
# What these link to, and where they look for it.
foreach(document ingest/README.md ingest/mlflow/README.md workers/README.md storage/README.md ops/README.md ops/runbook.md
                 bench/results/figures.md)
  get_filename_component(folder ${document} DIRECTORY)
  install(FILES ${document} DESTINATION ${CMAKE_INSTALL_DOCDIR}/${folder})
endforeach()
install(FILES ops/package/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY ops/prometheus ops/grafana ops/compose ops/kubernetes DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME assay)
# Whoever publishes a package is the one to be asked about it: -D CPACK_PACKAGE_CONTACT="NAME <ADDRESS>".
set(CPACK_PACKAGE_CONTACT "The assay maintainers <maintainers@localhost>" CACHE STRING "Maintainer of the package")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Durable, exactly-once pipeline for user feedback on GenAI applications")
file(READ ${CMAKE_SOURCE_DIR}/ops/package/description CPACK_DEBIAN_PACKAGE_DESCRIPTION)
string(STRIP "${CPACK_DEBIAN_PACKAGE_DESCRIPTION}" CPACK_DEBIAN_PACKAGE_DESCRIPTION)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS ca-certificates)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/ops/package/conffiles ${CMAKE_SOURCE_DIR}/ops/package/postinst
                                       ${CMAKE_SOURCE_DIR}/ops/package/prerm ${CMAKE_SOURCE_DIR}/ops/package/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)

# Debian's own form of a changelog, packed as its policy wants it.
string(TIMESTAMP changed_at "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(ops/package/changelog.in ${CMAKE_BINARY_DIR}/package/changelog)
execute_process(COMMAND gzip -9nf ${CMAKE_BINARY_DIR}/package/changelog COMMAND_ERROR_IS_FATAL ANY)
install(FILES ${CMAKE_BINARY_DIR}/package/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR})

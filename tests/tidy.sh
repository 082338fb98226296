#!/usr/bin/env bash
# tests/tidy.sh: what can be said of the sources without compiling them. One line for each finding, a summary line at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
checks=0 failed=0

# check NAME COMMAND…: what the command prints are findings; none is good.
check() {
  local name=$1 findings
  shift
  checks=$((checks + 1))
  findings=$("$@" 2>&1) || true
  [ -n "$findings" ] || return 0
  failed=$((failed + 1))
  printf '%s\n' "$findings" | sed "s|^|tidy: $name: |"
}

sources() { find ingest workers storage bench tests ops .ci -type f "$@" 2>/dev/null | LC_ALL=C sort; }
cpp() { sources \( -name '*.cpp' -o -name '*.hpp' \); }
headers() { sources -name '*.hpp'; }
texts() {
  sources ! -name '*.pyc' ! -path 'tests/tidy.sh'
  find . -maxdepth 1 -type f ! -name LICENSE ! -name .git
}
scripts() { texts | xargs -r -d '\n' awk 'FNR == 1 { if (/^#!.*bash/) print FILENAME; nextfile }'; }
each() { xargs -r -d '\n' "$@"; }

formatted() {
  cpp | each clang-format --dry-run -Werror 2>&1 |
    sed -nE 's/^([^:]+):[0-9]+:[0-9]+: error: .*Wclang-format-violations.*/\1: clang-format -i would change it/p' | sort -u
}

# g++ 12 destroys twice what a co_await expression builds: braced temporaries and capturing lambdas. Read as a whole, because the
# expression may go over several lines; it ends at a semicolon or where a block begins.
await_builds_nothing() {
  cpp | each perl -0777 -ne '
    s{//[^\n]*}{}g;
    while (/\bco_await\b[^;{}]*?(?:\[[^\[\]]+\]\s*(?:\(|\{|mutable)|[(,]\s*[\w:<>]*\{\s*[^\s}])/g) {
      my $line = 1 + (substr($_, 0, $-[0]) =~ tr/\n//);
      print "$ARGV:$line: name what co_await builds on the line before\n";
    }'
}

guarded() { headers | each grep -L '^#pragma once$'; }

# Arrows of the layout: runtime <- storage <- ingest, workers <- ops/cli. The link edges say it too, but a header needs no link.
arrows_kept() {
  includes_of ops/runtime 'storage|ingest|workers|ops/cli'
  includes_of storage 'ingest|workers|ops/cli'
  includes_of ingest 'workers|ops/cli'
  includes_of workers 'ingest|ops/cli'
}
includes_of() {
  cpp | { grep "^$1/" || true; } | each grep -nHE "^#include \"($2)/"
}

# No folder includes, by any way, one that includes it.
folders_in_one_direction() {
  { cpp | { grep -v '^tests/' || true; } | each grep -HE '^#include "[^"]+/[^"]+"'; } |
    sed -E 's#^(.*)/[^/:]*:.include "(.*)/[^/"]*".*#\1 \2#' | awk '$1 != $2' | sort -u | tsort 2>&1 >/dev/null |
    sed 's/^tsort: //'
}

from_the_root() { cpp | each grep -nHE '^#include "(\.|[^/"]+")'; }

no_machine_paths() { texts | each grep -nHIE '(^|[^A-Za-z0-9_.$}/-])/(work|home|root|Users|mnt)/[A-Za-z0-9]'; }

no_registries() {
  texts | each grep -nHIiE 'repo1?\.maven|maven\.org/maven2|pypi\.org|pythonhosted|deb\.debian\.org|registry\.npmjs|releases/download'
}

finished() { texts | each grep -nHIwE 'TODO|FIXME|XXX'; }

scripts_parse() { scripts | each -n1 bash -n; }

python_parses() {
  sources -name '*.py' | each -n1 python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])'
}

# Every metric that a dashboard or an alert asks for is one that the program has.
metrics_exist() {
  local metric
  [ -d ops/prometheus ] || [ -d ops/grafana ] || return 0
  { grep -rhoE '\bassay_[a-z0-9_]+' ops/prometheus ops/grafana 2>/dev/null || true; } | sort -u |
    while read -r metric; do
      grep -rqE --include='*.cpp' --include='*.hpp' "\"${metric%_@(bucket|sum|count)}\"" ingest workers storage ops || echo "no such metric: $metric"
    done
}

# A bug that can't be planted any more proves nothing (tests/simulation/planted/run).
planted_apply() {
  local bug
  for bug in tests/simulation/planted/*.patch; do
    patch --dry-run --quiet --force --fuzz=0 -p1 <"$bug" >/dev/null 2>&1 || echo "$bug: does not apply"
  done
}

main() {
  shopt -s extglob
  if command -v clang-format >/dev/null; then check clang-format formatted; fi
  check co_await await_builds_nothing
  check pragma-once guarded
  check arrows arrows_kept
  check cycles folders_in_one_direction
  check include from_the_root
  check machine-path no_machine_paths
  check registry no_registries
  check unfinished finished
  check bash scripts_parse
  check python python_parses
  check metrics metrics_exist
  check planted planted_apply
  echo "tidy: $checks checks over $(cpp | wc -l) C++ files, $failed failed"
  [ "$failed" = 0 ]
}

main "$@"

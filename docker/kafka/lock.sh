#!/usr/bin/env bash
# Writes jars.lock anew from pom.xml: for those who change the broker's version. Look at the diff before you commit it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
jars=$(mktemp -d)
trap 'rm -rf "$jars"' EXIT
mvn -B -q -ntp -f "$here/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies \
    -DincludeScope=runtime "-DoutputDirectory=$jars"
{
    echo "# SHA-512, size in bytes and name of every jar of the local broker; docker/kafka/lock.sh writes this file."
    cd "$jars"
    LC_ALL=C
    for jar in *.jar; do
        echo "$(sha512sum "$jar" | cut -d ' ' -f 1) $(stat -c %s "$jar") $jar"
    done
} >"$here/jars.lock"
echo "$(grep -vc "^#" "$here/jars.lock") jars"

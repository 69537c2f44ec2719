set -euo pipefail
[[ "$VERSION_FILE" =~ ^[A-Za-z0-9._@+/-]+$ && ! "/$VERSION_FILE/" =~ /\.\./ && "$VERSION_FILE" != [/-]* ]]
printf '%s\n' "$VERSION" >"$VERSION_FILE"
git config user.name 'github-actions[bot]'
git config user.email '41898282+github-actions[bot]@users.noreply.github.com'
git add -- "$VERSION_FILE"
git commit --message "Release $NAME $VERSION"
git pull --rebase --quiet
git push

# bash completion for lingma, written by `lingma completion bash`
_lingma() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} path= word words=
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
        case "${path:+$path }$word" in
        "serve"|"chat"|"models"|"status"|"login"|"logout"|"whoami"|"completion"|"version"|"engine"|"engine install"|"engine update"|"engine rollback"|"engine verify"|"engine path"|"engine versions"|"account"|"account list"|"account use"|"account rename"|"account remove"|"account test"|"session"|"session export"|"session import"|"session list"|"session inspect"|"session remove"|"key"|"key show"|"config"|"config show"|"config import-env") path="${path:+$path }$word" ;;
        esac
    done
    # Bash cuts `--option=value` at the sign.
    if [[ $cur == "=" ]]; then
        cur=
    elif [[ $prev == "=" ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case "$path $prev" in
    "serve --log-level") COMPREPLY=($(compgen -W "debug info warning error" -- "$cur")); return ;;
    "serve --log-format") COMPREPLY=($(compgen -W "auto text json" -- "$cur")); return ;;
    "serve --ask-mode") COMPREPLY=($(compgen -W "chat agent" -- "$cur")); return ;;
    "serve --tools") COMPREPLY=($(compgen -W "auto native prompt off" -- "$cur")); return ;;
    "serve --response-store") COMPREPLY=($(compgen -W "sqlite memory none" -- "$cur")); return ;;
    "serve --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "login --method") COMPREPLY=($(compgen -W "auto browser paste password token aksk import" -- "$cur")); return ;;
    "login --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "logout --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "account rename --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "account remove --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "account test --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "session export --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "session import --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "session list --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "session remove --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "serve --config"|"serve --bin"|"serve --work-dir"|"chat --file"|"chat --config"|"models --config"|"status --config"|"login --selectors"|"login --bin"|"login --passphrase-file"|"login --config"|"logout --bin"|"logout --passphrase-file"|"logout --config"|"whoami --config"|"engine install --vsix"|"engine install --bin"|"engine install --config"|"engine update --config"|"engine rollback --config"|"engine verify --config"|"engine path --config"|"engine versions --config"|"account list --config"|"account use --config"|"account rename --passphrase-file"|"account rename --config"|"account remove --passphrase-file"|"account remove --config"|"account test --bin"|"account test --passphrase-file"|"account test --config"|"session export --output"|"session export --passphrase-file"|"session export --config"|"session import --passphrase-file"|"session import --bin"|"session import --config"|"session list --config"|"session remove --passphrase-file"|"session remove --config"|"key show --config"|"config show --config")
        local IFS=$'\n'
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$cur"))
        return ;;
    "serve --host"|"serve --port"|"serve --allow-host"|"serve --body-limit"|"serve --head-timeout"|"serve --drain-timeout"|"serve --max-in-flight"|"serve --queue-timeout"|"serve --queue-size"|"serve --default-model"|"serve --first-event-timeout"|"serve --idle-timeout"|"serve --ping-interval"|"serve --socket-port"|"serve --startup-timeout"|"serve --rpc-timeout"|"serve --endpoint"|"serve --passphrase-file"|"chat --model"|"chat --system"|"chat --url"|"models --url"|"status --url"|"login --account"|"login --endpoint"|"login --username"|"login --organisation"|"login --timeout"|"logout --account"|"whoami --account"|"engine install --url"|"engine install --version"|"session export --expires"|"session import --account") return ;;
    esac
    case "$path" in
    "") words="serve chat models status login logout whoami completion version engine account session key config --version -V --help" ;;
    "serve") words="--config --host --port --allow-host --no-auth --body-limit --head-timeout --drain-timeout --log-level --log-format --max-in-flight --queue-timeout --queue-size --default-model --ask-mode --first-event-timeout --idle-timeout --ping-interval --tools --response-store --demo --bin --work-dir --socket-port --startup-timeout --rpc-timeout --endpoint --store --passphrase-file --help" ;;
    "chat") words="--model --system --file -f --continue -c --no-history --url --config --json --help" ;;
    "models") words="--url --config --json --help" ;;
    "status") words="--url --config --json --help" ;;
    "login") words="--account --method --endpoint --username --organisation --headless --timeout --selectors --accept-terms --force --bin --store --passphrase-file --config --help" ;;
    "logout") words="--account --all --bin --store --passphrase-file --config --help" ;;
    "whoami") words="--account --json --config --help" ;;
    "completion") words="bash zsh fish powershell --help" ;;
    "version") words="--json --help" ;;
    "engine") words="install update rollback verify path versions --help" ;;
    "engine install") words="--vsix --url --bin --version --force --accept-changed --json --config --help" ;;
    "engine update") words="--force --accept-changed --json --config --help" ;;
    "engine rollback") words="--json --config --help" ;;
    "engine verify") words="--json --config --help" ;;
    "engine path") words="--json --config --help" ;;
    "engine versions") words="--json --config --help" ;;
    "account") words="list use rename remove test --help" ;;
    "account list") words="--json --config --help" ;;
    "account use") words="--config --help" ;;
    "account rename") words="--store --passphrase-file --config --help" ;;
    "account remove") words="--store --passphrase-file --config --help" ;;
    "account test") words="--bin --store --passphrase-file --config --help" ;;
    "session") words="export import list inspect remove --help" ;;
    "session export") words="--output -o --encrypt --plaintext --expires --passphrase-file --store --config --help" ;;
    "session import") words="--account --replace --verify --passphrase-file --bin --store --config --help" ;;
    "session list") words="--json --store --config --help" ;;
    "session inspect") words="--json --help" ;;
    "session remove") words="--store --passphrase-file --config --help" ;;
    "key") words="show --help" ;;
    "key show") words="--admin --config --help" ;;
    "config") words="show import-env --help" ;;
    "config show") words="--origin --json --config --help" ;;
    "config import-env") words="--help" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _lingma lingma

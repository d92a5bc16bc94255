# bash completion for lingma, written by `lingma completion bash`
_lingma() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} path= word words=
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
        case "${path:+$path }$word" in
        "serve"|"chat"|"models"|"status"|"completion"|"version"|"key"|"key show"|"config"|"config show") path="${path:+$path }$word" ;;
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
    "serve --config"|"serve --bin"|"serve --work-dir"|"chat --file"|"chat --config"|"models --config"|"status --config"|"key show --config"|"config show --config")
        local IFS=$'\n'
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$cur"))
        return ;;
    "serve --host"|"serve --port"|"serve --allow-host"|"serve --body-limit"|"serve --head-timeout"|"serve --drain-timeout"|"serve --max-in-flight"|"serve --queue-timeout"|"serve --queue-size"|"serve --default-model"|"serve --first-event-timeout"|"serve --idle-timeout"|"serve --ping-interval"|"serve --socket-port"|"serve --startup-timeout"|"serve --rpc-timeout"|"chat --model"|"chat --system"|"chat --url"|"models --url"|"status --url") return ;;
    esac
    case "$path" in
    "") words="serve chat models status completion version key config --version -V --help" ;;
    "serve") words="--config --host --port --allow-host --no-auth --body-limit --head-timeout --drain-timeout --log-level --log-format --max-in-flight --queue-timeout --queue-size --default-model --ask-mode --first-event-timeout --idle-timeout --ping-interval --tools --response-store --demo --bin --work-dir --socket-port --startup-timeout --rpc-timeout --help" ;;
    "chat") words="--model --system --file -f --continue -c --no-history --url --config --json --help" ;;
    "models") words="--url --config --json --help" ;;
    "status") words="--url --config --json --help" ;;
    "completion") words="bash zsh fish powershell --help" ;;
    "version") words="--json --help" ;;
    "key") words="show --help" ;;
    "key show") words="--admin --config --help" ;;
    "config") words="show --help" ;;
    "config show") words="--origin --json --config --help" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _lingma lingma

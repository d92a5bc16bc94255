# powershell completion for lingma, written by `lingma completion powershell`
Register-ArgumentCompleter -Native -CommandName lingma -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @{
        '' = @('serve', 'chat', 'models', 'status', 'completion', 'version', 'key', 'config', '--version', '-V', '--help')
        'serve' = @('--config', '--host', '--port', '--allow-host', '--no-auth', '--body-limit', '--head-timeout', '--drain-timeout', '--log-level', '--log-format', '--max-in-flight', '--queue-timeout', '--queue-size', '--default-model', '--ask-mode', '--first-event-timeout', '--idle-timeout', '--ping-interval', '--tools', '--response-store', '--demo', '--bin', '--work-dir', '--socket-port', '--startup-timeout', '--rpc-timeout', '--help')
        'chat' = @('--model', '--system', '--file', '-f', '--continue', '-c', '--no-history', '--url', '--config', '--json', '--help')
        'models' = @('--url', '--config', '--json', '--help')
        'status' = @('--url', '--config', '--json', '--help')
        'completion' = @('bash', 'zsh', 'fish', 'powershell', '--help')
        'version' = @('--json', '--help')
        'key' = @('show', '--help')
        'key show' = @('--admin', '--config', '--help')
        'config' = @('show', '--help')
        'config show' = @('--origin', '--json', '--config', '--help')
    }
    $values = @{
        'serve --host' = @()
        'serve --port' = @()
        'serve --allow-host' = @()
        'serve --body-limit' = @()
        'serve --head-timeout' = @()
        'serve --drain-timeout' = @()
        'serve --log-level' = @('debug', 'info', 'warning', 'error')
        'serve --log-format' = @('auto', 'text', 'json')
        'serve --max-in-flight' = @()
        'serve --queue-timeout' = @()
        'serve --queue-size' = @()
        'serve --default-model' = @()
        'serve --ask-mode' = @('chat', 'agent')
        'serve --first-event-timeout' = @()
        'serve --idle-timeout' = @()
        'serve --ping-interval' = @()
        'serve --tools' = @('auto', 'native', 'prompt', 'off')
        'serve --response-store' = @('sqlite', 'memory', 'none')
        'serve --socket-port' = @()
        'serve --startup-timeout' = @()
        'serve --rpc-timeout' = @()
        'chat --model' = @()
        'chat --system' = @()
        'chat --url' = @()
        'models --url' = @()
        'status --url' = @()
    }
    $path = ''
    $previous = ''
    foreach ($element in $commandAst.CommandElements | Select-Object -Skip 1) {
        if ($element.Extent.EndOffset -ge $cursorPosition) { break }
        $previous = $element.ToString()
        $next = "$path $previous".Trim()
        if ($words.ContainsKey($next)) { $path = $next }
    }
    $key = "$path $previous".Trim()
    $candidates = if ($values.ContainsKey($key)) { $values[$key] } else { $words[$path] }
    $candidates | Where-Object { $_ -like "$wordToComplete*" } | ForEach-Object {
        [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
    }
}

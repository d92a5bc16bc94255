"""Engines that are OpenAI-compatible HTTP servers: llama.cpp, vLLM, SGLang, Ollama."""

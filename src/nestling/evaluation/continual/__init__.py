"""Continual learning: streams of tasks, methods that live through them, and what is judged."""

"""Durable execution with structured concurrency."""

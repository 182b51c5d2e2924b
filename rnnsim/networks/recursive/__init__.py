"""Recursive networks: they read trees and directed acyclic graphs, from the leaves to the root."""

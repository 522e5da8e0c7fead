"""What runs at generation, after Copier has rendered: .env, data, git, the stack, a summary.

Copier runs the folder (`python hooks ANSWERS_FILE`, in the new project). No step fails the project: Copier would delete
it. What could not be done is said in one line, with the command that finishes it.
"""

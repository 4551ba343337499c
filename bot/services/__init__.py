"""The bot's services: reading source posts, generating candidates, keeping the board in step, sending posts."""
